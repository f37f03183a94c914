// SPDX-License-Identifier: Apache-2.0
/** What the agent knows of one pod of its node. */
import type {EnrollmentEntry} from '../model/api.ts'
import type {Pod} from '../model/kube.ts'
import {podAddresses} from './desired.ts'
import type {EnrolledPod} from './enroll-state.ts'

export interface PodRecord {
  pod: Pod
  readonly uid: string
  rule: string
  intent: boolean
  cookie: string | null
  identity: string | null
  captured: boolean
  sinceMs: number
  containers: string
}

/** @param kept - of an earlier agent: then the pod is known before it is looked for */
export function recordOf(
  pod: Pod,
  uid: string,
  kept: EnrolledPod | undefined,
  captured: boolean,
  nowMs: number,
): PodRecord {
  return {
    pod,
    uid,
    rule: '',
    intent: kept !== undefined,
    cookie: kept?.cookie ?? null,
    identity: null,
    captured,
    sinceMs: kept?.sinceMs ?? nowMs,
    containers: '',
  }
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

export function reportOf(record: PodRecord): EnrollmentEntry {
  return {
    namespace: record.pod.metadata.namespace ?? '',
    pod: record.pod.metadata.name ?? '',
    uid: record.uid,
    cookie: record.cookie,
    classid: null,
    addresses: podAddresses(record.pod),
    since: new Date(record.sinceMs).toISOString(),
    rule: record.rule,
    intent: record.intent,
    captured: record.captured,
  }
}

/** Changes when a container or the whole sandbox was started anew. */
export function containersOf(pod: Pod): string {
  const containers = pod.status?.containerStatuses ?? []
  return [
    pod.status?.phase,
    podAddresses(pod).join(),
    ...containers.map(({name, containerID, restartCount}) => `${name}=${containerID}#${restartCount}`),
  ].join(' ')
}
