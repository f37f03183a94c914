// SPDX-License-Identifier: Apache-2.0
/** Pods that may have rules of ours in their network namespace, on disk before the first rule and until the last is gone. */
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
  readonly #files: StateFiles

  constructor(files: StateFiles, log: Log) {
    this.#files = files
    this.#pods = new Table(BYPASSED_FILE, keptBypassed(files, log))
  }

  has(uid: string): boolean {
    return this.#pods.get(uid) !== undefined
  }

  add({uid, pod, netnsPath}: PodRecord): void {
    const {namespace = '', name = ''} = pod.metadata
    const path = netnsPath === null ? {} : {netnsPath}
    this.#pods.set(uid, {namespace, pod: name, processUid: kubeletUid(pod), ...path})
  }

  delete(uid: string): void {
    this.#pods.delete(uid)
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
