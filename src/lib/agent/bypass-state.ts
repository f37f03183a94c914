// SPDX-License-Identifier: Apache-2.0
/** Pods that may have rules of ours in their network namespace, on disk before the first rule and until the last is gone. */
import {BYPASS_ANNOTATION, BYPASS_ON} from '../model/bypass.ts'
import type {Log, StateFiles} from '../ports.ts'
import {entriesOf, Table} from './enroll-state.ts'
import {kubeletUid, type PodRecord} from './pod-record.ts'

export const BYPASSED_FILE = 'bypassed.json'

export interface BypassedPod {
  readonly namespace: string
  readonly pod: string
  /** As cgroup paths have it: by this its processes are found. */
  readonly processUid: string
  /** As CNI named the namespace. */
  readonly netnsPath?: string
}

export class BypassState {
  readonly #pods: Table<BypassedPod>
  readonly #cleared = new Set<string>()
  readonly #files: StateFiles

  constructor(files: StateFiles, log: Log) {
    this.#files = files
    this.#pods = new Table(BYPASSED_FILE, keptBypassed(files, log))
  }

  /** Noted, or told by the annotation of an agent whose notes are lost. */
  mayHaveRules({uid, pod}: PodRecord): boolean {
    if (this.#pods.get(uid) !== undefined) return true
    return !this.#cleared.has(uid) && pod.metadata.annotations?.[BYPASS_ANNOTATION] === BYPASS_ON
  }

  add({uid, pod, netnsPath}: PodRecord): void {
    const {namespace = '', name = ''} = pod.metadata
    const path = netnsPath === null ? {} : {netnsPath}
    this.#pods.set(uid, {namespace, pod: name, processUid: kubeletUid(pod), ...path})
  }

  /** It has none any more, whatever its annotation still says. */
  clear(uid: string): void {
    this.#pods.delete(uid)
    this.#cleared.add(uid)
  }

  /** The pod is gone. */
  forget(uid: string): void {
    this.#pods.delete(uid)
    this.#cleared.delete(uid)
  }

  keepOnly(isKnown: (uid: string) => boolean): void {
    for (const uid of this.#pods.keys()) if (!isKnown(uid)) this.#pods.delete(uid)
  }

  /** Writes only what changed. @throws KmeshError of the state directory */
  save(): void {
    this.#pods.save(this.#files)
  }
}

/** Of an earlier agent, by uid. */
export function keptBypassed(files: StateFiles, log: Log): [string, BypassedPod][] {
  return entriesOf(files, BYPASSED_FILE, log, isBypassedPod)
}

function isBypassedPod(value: unknown): value is BypassedPod {
  const pod = value as Partial<BypassedPod> | null
  return (
    typeof pod?.namespace === 'string' &&
    typeof pod.pod === 'string' &&
    typeof pod.processUid === 'string' &&
    (pod.netnsPath === undefined || typeof pod.netnsPath === 'string')
  )
}
