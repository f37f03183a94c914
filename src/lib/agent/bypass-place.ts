// SPDX-License-Identifier: Apache-2.0
/** What is wanted and what is known of one network namespace whose sidecar is, or was, short-circuited. */
import type {BypassEntry} from '../model/bypass.ts'
import type {Netns} from '../ports.ts'
import {nameOf, type PodRecord} from './pod-record.ts'

/**
 * `unknown`: nobody has looked yet, or the rules are being changed. `in`: they stand everywhere where they must.
 * `out`: they do not. `unsupported`: they stand nowhere, as they would not keep the traffic away from the sidecar.
 */
export type BypassStanding = 'unknown' | 'in' | 'out' | 'unsupported'

export interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface Place {
  /** Of the namespace, in decimal. */
  readonly cookie: string
  /** Its pods by uid; the rules stay while one of them wants them. */
  readonly members: Map<string, {readonly record: PodRecord; readonly wanted: boolean}>
  /** The last pod that was or is there: knows paths. */
  record: PodRecord
  standing: BypassStanding
  /** Somebody wished, or asked to look again, since the last run began. */
  isDue: boolean
  isRunning: boolean
  /** No path leads to it: goes on when one does. */
  isLost: boolean
  /** Failures in a row. */
  attempts: number
  problem: string | undefined
  cancelRetry: () => void
  waiters: Waiter[]
}

export function placeOf(cookie: string, record: PodRecord): Place {
  return {
    cookie,
    members: new Map(),
    record,
    standing: 'unknown',
    isDue: false,
    isRunning: false,
    isLost: false,
    attempts: 0,
    problem: undefined,
    cancelRetry: () => undefined,
    waiters: [],
  }
}

export function isWanted({members}: Place): boolean {
  return members.values().some(({wanted}) => wanted)
}

/** A path that leads there now: one of a process that has ended may lead elsewhere by now. */
export function pathTo({members, record, cookie}: Place, netns: Netns): string | undefined {
  const records = [...members.values().map((member) => member.record), record]
  const paths = records.flatMap(({netnsPath, processPath}) => [netnsPath, processPath])
  return paths.filter((path) => path !== null).find((path) => leadsTo(path, cookie, netns))
}

function leadsTo(path: string, cookie: string, netns: Netns): boolean {
  try {
    return netns.cookie(path).toString() === cookie
  } catch {
    return false
  }
}

export function recordsOf({members}: Place): PodRecord[] {
  return [...members.values()].map(({record}) => record)
}

/** What messages about it begin with. */
export function subjectOf({record}: Place): string {
  return `pod ${nameOf(record)}`
}

/** What was wished for is done, and nobody has asked since. */
export function isSettled(place: Place): boolean {
  if (place.isDue || place.isRunning) return false
  return isWanted(place)
    ? place.standing === 'in' || place.standing === 'unsupported'
    : place.standing === 'out'
}

/** @param place - undefined: there is nothing of ours */
export function entryAt(place: Place | undefined, wanted: boolean): BypassEntry {
  // What is to go stands until it is known to be gone.
  const isLeaving = place?.standing === 'unknown' && !isWanted(place)
  const active = place?.standing === 'in' || isLeaving
  return {wanted, active, reason: wanted === active ? null : reasonAt(place, wanted)}
}

function reasonAt(place: Place | undefined, wanted: boolean): string {
  if (place?.standing === 'unsupported') return 'BypassUnsupported'
  if (place?.problem !== undefined) return 'BypassFailed'
  if (wanted) return 'BypassPending'
  return place !== undefined && isWanted(place) ? 'SharedNamespace' : 'RestorePending'
}
