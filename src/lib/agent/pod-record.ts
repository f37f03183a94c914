// SPDX-License-Identifier: Apache-2.0
/** What the agent knows of one pod of its node. */
import type {EnrollmentEntry} from '../model/api.ts'
import type {BypassEntry} from '../model/bypass.ts'
import type {Pod} from '../model/kube.ts'
import {podAddresses} from './desired.ts'
import type {EnrolledPod} from './enroll-state.ts'

export interface PodRecord {
  pod: Pod
  readonly uid: string
  rule: string
  intent: boolean
  /** Of its network namespace, in decimal; null until it is found. */
  cookie: string | null
  /** As CNI named the namespace; null where it was found among the processes. */
  netnsPath: string | null
  /** Of a process in the namespace, as the search saw it last; it may have ended since. */
  processPath: string | null
  /** Its sidecar is to be short-circuited. */
  wantsBypass: boolean
  /** Of a sandbox that CNI has taken down, whose processes may be seen for a moment longer. */
  goneCookie: string | null
  captured: boolean
  sinceMs: number
  containers: string
  /** Fetched for CNI; the watch has not told it yet. */
  isFetched: boolean
}

/** @param kept - of an earlier agent: then the pod is known before it is looked for */
export function recordOf(pod: Pod, uid: string, kept: EnrolledPod | undefined, nowMs: number): PodRecord {
  return {
    pod,
    uid,
    rule: '',
    intent: kept !== undefined,
    cookie: kept?.cookie ?? null,
    netnsPath: kept?.netnsPath ?? null,
    processPath: null,
    wantsBypass: false,
    goneCookie: null,
    captured: false,
    sinceMs: kept?.sinceMs ?? nowMs,
    containers: '',
    isFetched: false,
  }
}

const STATIC_UID_ANNOTATION = 'kubernetes.io/config.hash'

/** The uid as cgroup paths and CNI spell it: of a static pod the API knows only a mirror with a uid of its own. */
export function kubeletUid({metadata}: Pod): string {
  return metadata.annotations?.[STATIC_UID_ANNOTATION] ?? metadata.uid ?? ''
}

/** Takes what is wanted and what is so; the time moves when one of them changed. */
export function note(record: PodRecord, intent: boolean, captured: boolean, nowMs: number): void {
  if (record.intent !== intent || record.captured !== captured) record.sinceMs = nowMs
  record.intent = intent
  record.captured = captured
}

/** `namespace/name`, for messages. */
export function nameOf({pod: {metadata}}: PodRecord): string {
  return `${metadata.namespace}/${metadata.name}`
}

/** @param classid - of the pod's cgroup, where pods are known by that */
export function reportOf(record: PodRecord, classid: number | null, bypass: BypassEntry): EnrollmentEntry {
  return {
    namespace: record.pod.metadata.namespace ?? '',
    pod: record.pod.metadata.name ?? '',
    uid: record.uid,
    cookie: record.cookie,
    classid,
    addresses: podAddresses(record.pod),
    since: new Date(record.sinceMs).toISOString(),
    rule: record.rule,
    intent: record.intent,
    captured: record.captured,
    bypass,
  }
}

/** Changes when a container or the whole sandbox was started anew. */
export function containersOf(pod: Pod): string {
  const {initContainerStatuses = [], containerStatuses = []} = pod.status ?? {}
  const containers = [...initContainerStatuses, ...containerStatuses]
  return [
    pod.status?.phase,
    podAddresses(pod).join(),
    ...containers.map(({name, containerID, restartCount}) => `${name}=${containerID}#${restartCount}`),
  ].join(' ')
}
