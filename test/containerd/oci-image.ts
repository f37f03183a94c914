// SPDX-License-Identifier: Apache-2.0
/** OCI image archives written by hand from one static program, so that no registry is needed. */
import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

const ARCHITECTURES: Readonly<Record<string, string>> = {x64: 'amd64', arm64: 'arm64'}
const LAYOUT = '{"imageLayoutVersion":"1.0.0"}'

export interface ImageOptions {
  /** A static busybox. */
  readonly busybox: string
  /** What links to it in /bin. */
  readonly commands: readonly string[]
  /** Image name -> its entrypoint. All share one layer. */
  readonly images: Readonly<Record<string, readonly string[]>>
}

/** Writes the archive that `ctr images import` reads. */
export function writeImages(archive: string, options: ImageOptions): void {
  const scratch = mkdtempSync(join(tmpdir(), `kmt${process.pid}-image-`))
  try {
    const layer = makeLayer(scratch, options)
    const root = join(scratch, 'oci')
    mkdirSync(join(root, 'blobs', 'sha256'), {recursive: true})
    const put = (bytes: Buffer, mediaType: string) => {
      const digest = createHash('sha256').update(bytes).digest('hex')
      writeFileSync(join(root, 'blobs', 'sha256', digest), bytes)
      return {mediaType, digest: `sha256:${digest}`, size: bytes.length}
    }
    const layerEntry = put(layer, 'application/vnd.oci.image.layer.v1.tar')
    const manifests = Object.entries(options.images).map(([name, entrypoint]) => {
      const config = {
        architecture: ARCHITECTURES[process.arch] ?? process.arch,
        os: 'linux',
        config: {Entrypoint: entrypoint, Env: ['PATH=/bin']},
        rootfs: {type: 'layers', diff_ids: [layerEntry.digest]},
      }
      const manifest = {
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: put(json(config), 'application/vnd.oci.image.config.v1+json'),
        layers: [layerEntry],
      }
      return {...put(json(manifest), manifest.mediaType), annotations: {'io.containerd.image.name': name}}
    })
    writeFileSync(join(root, 'oci-layout'), LAYOUT)
    writeFileSync(join(root, 'index.json'), json({schemaVersion: 2, manifests}))
    execFileSync('tar', ['-C', root, '-cf', archive, 'oci-layout', 'index.json', 'blobs'])
  } finally {
    rmSync(scratch, {recursive: true, force: true})
  }
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function makeLayer(scratch: string, {busybox, commands}: ImageOptions): Buffer {
  const bin = join(scratch, 'layer', 'bin')
  mkdirSync(bin, {recursive: true})
  copyFileSync(busybox, join(bin, 'busybox'))
  for (const command of commands) symlinkSync('busybox', join(bin, command))
  const file = join(scratch, 'layer.tar')
  execFileSync('tar', ['-C', join(scratch, 'layer'), '--owner=0', '--group=0', '-cf', file, 'bin'])
  return readFileSync(file)
}
