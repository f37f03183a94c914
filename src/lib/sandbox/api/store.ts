// SPDX-License-Identifier: Apache-2.0
/** All objects, their resource versions and the recent changes, in memory. */
import type {StoredObject} from './object.ts'
import type {ResourceRow} from './resource-row.ts'
import {expired} from './status.ts'

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: StoredObject
  /** What was stored before; undefined for ADDED. */
  readonly previous: StoredObject | undefined
  /** Resource version of the change, that of `object`. */
  readonly version: number
}

export type ChangeListener = (change: Change) => void

interface Collection {
  readonly objects: Map<string, StoredObject>
  /** Oldest first, at most `historyLimit` and a quarter. */
  history: Change[]
  /** Changes up to this version are no longer in `history`. */
  forgotten: number
  readonly listeners: Set<ChangeListener>
  readonly enders: Set<() => void>
}

/** `namespace/name`; cluster-scoped objects have an empty namespace. */
export function storeKey(namespace: string, name: string): string {
  return `${namespace}/${name}`
}

export class Store {
  readonly #collections = new Map<string, Collection>()
  readonly #firstVersion: number
  readonly #historyLimit: number
  #version: number

  /**
   * @param firstVersion start from the clock's milliseconds: a client of an earlier life then asks for a version
   *   that is too old and lists again, instead of waiting for one that is yet to come
   */
  constructor(firstVersion: number, historyLimit = 4096) {
    this.#version = firstVersion
    this.#firstVersion = firstVersion
    this.#historyLimit = historyLimit
  }

  /** Version of the newest change of anything. */
  get version(): number {
    return this.#version
  }

  get(row: ResourceRow, namespace: string, name: string): StoredObject | undefined {
    return this.#collection(row).objects.get(storeKey(namespace, name))
  }

  values(row: ResourceRow): IterableIterator<StoredObject> {
    return this.#collection(row).objects.values()
  }

  /** Stores an object under its name and gives it the next resource version. Returns what is stored. */
  put(row: ResourceRow, object: StoredObject): StoredObject {
    const collection = this.#collection(row)
    const key = storeKey(object.metadata.namespace ?? '', object.metadata.name)
    const previous = collection.objects.get(key)
    const stored = this.#stamped(object)
    collection.objects.set(key, stored)
    const type = previous === undefined ? 'ADDED' : 'MODIFIED'
    this.#publish(collection, {type, object: stored, previous, version: this.#version})
    return stored
  }

  /** Takes an object out; its last state, with the version of its removal, goes to the watchers. */
  remove(row: ResourceRow, object: StoredObject): StoredObject {
    const collection = this.#collection(row)
    const key = storeKey(object.metadata.namespace ?? '', object.metadata.name)
    const previous = collection.objects.get(key)
    const last = this.#stamped(object)
    collection.objects.delete(key)
    this.#publish(collection, {type: 'DELETED', object: last, previous, version: this.#version})
    return last
  }

  /**
   * Changes after `version`, oldest first.
   * @throws StatusError 410 where some of them are no longer known
   */
  changesSince(row: ResourceRow, version: number): readonly Change[] {
    const {history, forgotten} = this.#collection(row)
    if (!this.isKnown(row, version)) throw expired(version, forgotten)
    return history.filter((change) => change.version > version)
  }

  /** Every change after this version can still be told. */
  isKnown(row: ResourceRow, version: number): boolean {
    return version >= this.#collection(row).forgotten
  }

  /**
   * Calls `listener` within each change from now on, and `onEnd` when the resource is no longer served. Returns the
   * function that ends it.
   */
  listen(row: ResourceRow, listener: ChangeListener, onEnd: () => void = () => {}): () => void {
    const {listeners, enders} = this.#collection(row)
    listeners.add(listener)
    enders.add(onEnd)
    return () => {
      listeners.delete(listener)
      enders.delete(onEnd)
    }
  }

  /** Tells all listeners that the resource is no longer served. */
  endListening(row: ResourceRow): void {
    for (const end of [...this.#collection(row).enders]) end()
  }

  #stamped(object: StoredObject): StoredObject {
    this.#version += 1
    return {...object, metadata: {...object.metadata, resourceVersion: String(this.#version)}}
  }

  #publish(collection: Collection, change: Change): void {
    collection.history.push(change)
    if (collection.history.length > this.#historyLimit * 1.25) {
      const surplus = collection.history.length - this.#historyLimit
      collection.forgotten = collection.history[surplus - 1]?.version ?? collection.forgotten
      collection.history = collection.history.slice(surplus)
    }
    for (const listener of [...collection.listeners]) listener(change)
  }

  #collection(row: ResourceRow): Collection {
    const key = collectionKey(row)
    let collection = this.#collections.get(key)
    if (collection === undefined) {
      const forgotten = this.#firstVersion
      collection = {objects: new Map(), history: [], forgotten, listeners: new Set(), enders: new Set()}
      this.#collections.set(key, collection)
    }
    return collection
  }
}

/** The versions of a custom resource have one collection. */
function collectionKey(row: ResourceRow): string {
  return `${row.group}/${row.resource}`
}
