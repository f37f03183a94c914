// SPDX-License-Identifier: Apache-2.0
/** Kubernetes Events on pods: a few at once, then one a minute for each pod. What cannot be written is logged. */
import {KubeStatusError, messageOf} from '../errors.ts'
import {fnv1a32} from '../model/ids.ts'
import {type KubeObject, RESOURCES} from '../model/kube.ts'
import type {Clock, Kube, Log} from '../ports.ts'
import {nameOf, type PodRecord} from './pod-record.ts'
import {SwitchLimit} from './switch-limit.ts'

const COMPONENT = 'kmesh-daemon'
const RATE = {burst: 5, eachMs: 60_000}
const REQUEST_TIMEOUT_MS = 10_000
const MAX_MESSAGE = 1000

export interface PodEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export class PodEvents {
  readonly #kube: Kube
  readonly #clock: Clock
  readonly #log: Log
  readonly #nodeName: string
  readonly #limit: SwitchLimit

  constructor(kube: Kube, clock: Clock, log: Log, nodeName: string) {
    this.#kube = kube
    this.#clock = clock
    this.#log = log
    this.#nodeName = nodeName
    this.#limit = new SwitchLimit(clock, RATE)
  }

  /** @returns 0: it is on its way; else ask again after so many milliseconds */
  write(record: PodRecord, event: PodEvent): number {
    const waitMs = this.#limit.take(record.uid)
    if (waitMs === 0) void this.#create(record, event)
    return waitMs
  }

  forget(uid: string): void {
    this.#limit.forget(uid)
  }

  async #create(record: PodRecord, event: PodEvent): Promise<void> {
    const {namespace = ''} = record.pod.metadata
    try {
      const path = {...RESOURCES.events, namespace}
      await this.#kube.create(path, this.#object(record, event), {timeoutMs: REQUEST_TIMEOUT_MS})
    } catch (error) {
      const isGone = error instanceof KubeStatusError && [404, 409].includes(error.status)
      const text = `pod ${nameOf(record)}: cannot write event ${event.reason}: ${messageOf(error)}`
      if (isGone) this.#log.debug(text)
      else this.#log.warn(text)
    }
  }

  #object({uid, pod}: PodRecord, {type, reason, message}: PodEvent): KubeObject {
    const {namespace = '', name = ''} = pod.metadata
    const nowMs = this.#clock.nowMs()
    const time = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z')
    const suffix = `${nowMs.toString(16)}.${fnv1a32(`${uid} ${reason}`).toString(16)}`
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {namespace, name: `${name.slice(0, 220)}.${suffix}`},
      involvedObject: {apiVersion: 'v1', kind: 'Pod', namespace, name, uid},
      type,
      reason,
      message: message.slice(0, MAX_MESSAGE),
      source: {component: COMPONENT, host: this.#nodeName},
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    }
    return event
  }
}
