// SPDX-License-Identifier: Apache-2.0
import type {Pod} from '../../model/kube.ts'
import type {Clock} from '../../ports.ts'

/**
 * What a controller has just done and its cache does not show yet. Without this, a second look at the old cache would
 * create or delete the same pods again.
 */
export interface Expectations {
  created(key: string, pod: Pod): void
  deleted(key: string, pod: Pod): void
  /** The pods of the cache as they are after our own writes. */
  overlay(key: string, cached: readonly Pod[]): Pod[]
  forget(key: string): void
}

interface Entry {
  readonly created: Map<string, {readonly pod: Pod; readonly atMs: number}>
  readonly deleted: Map<string, number>
  /** Uids that the cache has shown at least once. */
  readonly seen: Set<string>
}

/** A write that the cache does not show after this long was undone by somebody else. */
const TRUSTED_MS = 10_000

export function createExpectations(clock: Clock): Expectations {
  const entries = new Map<string, Entry>()
  const entryOf = (key: string): Entry => {
    const entry = entries.get(key) ?? {created: new Map(), deleted: new Map(), seen: new Set()}
    entries.set(key, entry)
    return entry
  }
  return {
    created: (key, pod) => {
      const entry = entryOf(key)
      const uid = pod.metadata.uid ?? ''
      // Its events may have come before the answer to the request.
      if (!entry.seen.has(uid)) entry.created.set(uid, {pod, atMs: clock.monotonicMs()})
    },
    deleted: (key, pod) => void entryOf(key).deleted.set(pod.metadata.uid ?? '', clock.monotonicMs()),
    overlay: (key, cached) => overlaid(entryOf(key), cached, clock.monotonicMs()),
    forget: (key) => void entries.delete(key),
  }
}

function overlaid(entry: Entry, cached: readonly Pod[], nowMs: number): Pod[] {
  const uids = new Set(cached.map((pod) => pod.metadata.uid ?? ''))
  for (const uid of uids) entry.seen.add(uid)
  for (const [uid, {atMs}] of entry.created) {
    if (entry.seen.has(uid) || nowMs - atMs > TRUSTED_MS) entry.created.delete(uid)
  }
  for (const [uid, atMs] of entry.deleted) {
    if (!uids.has(uid) || nowMs - atMs > TRUSTED_MS) entry.deleted.delete(uid)
  }
  // What is long gone needs no memory.
  if (entry.created.size === 0) for (const uid of entry.seen) if (!uids.has(uid)) entry.seen.delete(uid)
  const pending = [...entry.created.values()].map(({pod}) => pod)
  return [...cached.filter((pod) => !entry.deleted.has(pod.metadata.uid ?? '')), ...pending]
}
