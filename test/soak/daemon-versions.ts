// SPDX-License-Identifier: Apache-2.0
/** Versions of the agent to swap between: each a whole program in a folder of its own, with its own eBPF object. */
import {cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {type Edit, moreInstructions, preallocated, Variant} from '../bpf/variants.ts'

const root = join(import.meta.dirname, '../..')

export interface DaemonVersion {
  readonly what: string
  /** Path of its `bin/kmesh-daemon`. */
  readonly program: string
}

export class DaemonVersions implements Disposable {
  readonly all: readonly DaemonVersion[]
  readonly #folder = mkdtempSync(join(tmpdir(), `kmt${process.pid}-versions-`))

  constructor() {
    try {
      this.all = [
        {what: 'this version', program: join(root, 'bin/kmesh-daemon')},
        this.#make('other instructions', moreInstructions),
        this.#make('other maps', [preallocated('km_service'), preallocated('km_manage')]),
      ]
    } catch (thrown) {
      this[Symbol.dispose]()
      throw thrown
    }
  }

  #make(what: string, edits: readonly Edit[]): DaemonVersion {
    const folder = join(this.#folder, what.replaceAll(' ', '-'))
    mkdirSync(join(folder, 'bpf'), {recursive: true})
    for (const name of ['bin', 'dist', 'package.json'])
      cpSync(join(root, name), join(folder, name), {recursive: true})
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    using variant = new Variant(edits)
    cpSync(variant.objectFile, join(folder, 'bpf/kmesh.bpf.o'))
    return {what, program: join(folder, 'bin/kmesh-daemon')}
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, {recursive: true, force: true})
  }
}
