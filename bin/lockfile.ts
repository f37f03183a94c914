// SPDX-License-Identifier: Apache-2.0
/**
 * npm leaves a package of another platform out of the lockfile when the registry in use does not carry it, and then
 * refuses the lockfile (`npm ci`: "Missing ... from lock file"). This names those packages, so that the lockfile works with
 * every registry: without `--write` it only tells what is missing and ends with 1.
 */
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

interface LockedPackage {
  readonly version?: string
  readonly dev?: boolean
  readonly license?: string
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const file = join(import.meta.dirname, '../package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8')) as {packages: Record<string, LockedPackage>}

/** As Node resolves: beside the package, then in each folder above. */
function isLocked(from: string, name: string): boolean {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    if (lock.packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`] !== undefined) return true
    if (folder === '') return false
  }
}

/** `@scope/binding-linux-arm-musleabihf`: what npm compares before it fetches. */
function platformOf(name: string): Pick<LockedPackage, 'os' | 'cpu' | 'libc'> {
  const [, os, rest = ''] =
    /(android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)-(.*)$/.exec(name) ?? []
  const cpu = /^(arm64|arm|x64|ia32|ppc64|riscv64|loong64|s390x|mips64el)/.exec(rest)?.[1]
  if (os === undefined || cpu === undefined) throw new Error(`no platform in the name of ${name}`)
  const libc = rest.includes('musl')
    ? ['musl']
    : rest.includes('gnu') && os === 'linux'
      ? ['glibc']
      : undefined
  return {os: [os], cpu: [cpu], ...(libc === undefined ? {} : {libc})}
}

const missing: string[] = []
for (const [path, parent] of Object.entries(lock.packages)) {
  if (path === '') continue
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    if (isLocked(path, name)) continue
    missing.push(name)
    lock.packages[`node_modules/${name}`] = {
      version: version.replace(/^[~^]/, ''),
      ...platformOf(name),
      ...(parent.dev === true ? {dev: true} : {}),
      ...(parent.license === undefined ? {} : {license: parent.license}),
      optional: true,
    }
  }
}

if (process.argv.includes('--write')) {
  const sorted = Object.entries(lock.packages).toSorted(([left], [right]) => (left < right ? -1 : 1))
  writeFileSync(file, `${JSON.stringify({...lock, packages: Object.fromEntries(sorted)}, null, 2)}\n`)
} else if (missing.length > 0) {
  console.error(`package-lock.json lacks ${missing.join(', ')}\nrun: bin/with-node bin/lockfile.ts --write`)
  process.exitCode = 1
}
