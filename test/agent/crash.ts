// SPDX-License-Identifier: Apache-2.0
/** Ends an agent as kill -9 would, at a chosen write: from then on nothing that it does reaches the outside. */
import type {Bpf, BpfMap, Kube, PodClasses, SidecarRules, StateFiles} from '../../src/lib/ports.ts'

export class Crash {
  /** What was written, in order: `map km_manage`, `file enrolled.json`, `patch shop/a`. */
  readonly writes: string[] = []
  isDead = false
  #lastWrite = Number.POSITIVE_INFINITY

  /** @param writes - how many more it makes before it dies */
  dieAfter(writes: number): void {
    this.#lastWrite = this.writes.length + writes
    this.isDead = writes === 0
  }

  write<T>(what: string, run: () => T): T {
    if (this.isDead) throw new Error('this agent is dead')
    const result = run()
    // A delete that found nothing has written nothing.
    if (result === false) return result
    this.writes.push(what)
    if (this.writes.length === this.#lastWrite) this.isDead = true
    return result
  }

  bpf(bpf: Bpf): Bpf {
    return {
      load: (request) => this.write('load', () => bpf.load(request)),
      layouts: (objectFile) => bpf.layouts(objectFile),
      openPinned: (path) => this.map(bpf.openPinned(path)),
      openRing: (path) => bpf.openRing(path),
      unpin: (path) => this.write(`unpin ${path}`, () => bpf.unpin(path)),
    }
  }

  map(map: BpfMap): BpfMap {
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

  classes(classes: PodClasses): PodClasses {
    return {
      requireAvailable: () => classes.requireAvailable(),
      get: (uid) => classes.get(uid),
      put: (uid, classid) => this.write(`class ${uid}`, () => classes.put(uid, classid)),
      take: (uid, classid) => this.write(`no class ${uid}`, () => classes.take(uid, classid)),
    }
  }

  rules(rules: SidecarRules): SidecarRules {
    return {
      look: (path) => rules.look(path),
      put: async (path) => this.write(`put ${path}`, () => rules.put(path)),
      remove: async (path) => this.write(`remove ${path}`, () => rules.remove(path)),
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
    const create: Kube['create'] = (path, body, options) =>
      this.write(`create ${path.resource}`, () => kube.create(path, body, options))
    return new Proxy(kube, {
      get: (target, name) => ({mergePatch, create})[String(name)] ?? Reflect.get(target, name),
    })
  }
}
