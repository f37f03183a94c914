// SPDX-License-Identifier: Apache-2.0
/** Ends an agent as kill -9 would, at a chosen write: from then on nothing that it does reaches the outside. */
import type {Bpf, BpfMap, Kube, StateFiles} from '../../src/lib/ports.ts'

export class Crash {
  /** What was written, in order: `map km_manage`, `file enrolled.json`, `patch shop/a`. */
  readonly writes: string[] = []
  isDead = false
  readonly #lastWrite: number

  /** @param lastWrite - the one after which it dies, from 1; 0 before any */
  constructor(lastWrite = Number.POSITIVE_INFINITY) {
    this.#lastWrite = lastWrite
    if (lastWrite === 0) this.isDead = true
  }

  write<T>(what: string, run: () => T): T {
    if (this.isDead) throw new Error('this agent is dead')
    const result = run()
    this.writes.push(what)
    if (this.writes.length === this.#lastWrite) this.isDead = true
    return result
  }

  bpf(bpf: Bpf): Bpf {
    return {
      load: (request) => this.write('load', () => bpf.load(request)),
      layouts: (objectFile) => bpf.layouts(objectFile),
      openPinned: (path) => this.#map(bpf.openPinned(path)),
      openRing: (path) => bpf.openRing(path),
      unpin: (path) => this.write(`unpin ${path}`, () => bpf.unpin(path)),
    }
  }

  #map(map: BpfMap): BpfMap {
    const name = `map ${map.info.name}`
    return {
      info: map.info,
      lookup: (key) => map.lookup(key),
      update: (key, value) => this.write(name, () => map.update(key, value)),
      updateBatch: (batch) => this.write(name, () => map.updateBatch(batch)),
      delete: (key) => this.write(name, () => map.delete(key)),
      read: (chunk) => map.read(chunk),
      [Symbol.dispose]: () => map[Symbol.dispose](),
    }
  }

  files(files: StateFiles): StateFiles {
    return {
      read: (name) => files.read(name),
      write: (name, text) => this.write(`file ${name}`, () => files.write(name, text)),
      writeAsync: async (name, text) => this.write(`file ${name}`, () => files.write(name, text)),
      remove: (name) => this.write(`remove ${name}`, () => files.remove(name)),
    }
  }

  kube(kube: Kube): Kube {
    const mergePatch: Kube['mergePatch'] = (path, patch, options) =>
      this.write(`patch ${path.namespace}/${path.name}`, () => kube.mergePatch(path, patch, options))
    return new Proxy(kube, {
      get: (target, name) => (name === 'mergePatch' ? mergePatch : Reflect.get(target, name)),
    })
  }
}
