// SPDX-License-Identifier: Apache-2.0
/** Shows on pods what became of the short-circuit of their sidecars: annotation and events. */
import {BYPASS_ANNOTATION, BYPASS_ON, BYPASS_UNSUPPORTED} from '../model/bypass.ts'
import type {Clock} from '../ports.ts'
import type {Annotator} from './annotate.ts'
import type {SidecarBypass} from './bypass.ts'
import {isFinished} from './desired.ts'
import type {PodEvent, PodEvents} from './pod-events.ts'
import type {PodRecord} from './pod-record.ts'

/** A path that dies while a pod starts or ends is no event. */
const FAILURES_OF_AN_EVENT = 3

type Told = 'SidecarBypassed' | 'SidecarRestored' | 'BypassUnsupported' | 'BypassFailed'

const MESSAGES: {readonly [T in Told]: Omit<PodEvent, 'reason'>} = {
  SidecarBypassed: {type: 'Normal', message: 'Traffic no longer passes through the sidecar'},
  SidecarRestored: {type: 'Normal', message: 'Traffic passes through the sidecar again'},
  BypassUnsupported: {
    type: 'Warning',
    message:
      'The sidecar gets its traffic by TPROXY or by nftables rules, which cannot be short-circuited: the sidecar keeps the pod, Kmesh does not enroll it',
  },
  BypassFailed: {type: 'Warning', message: ''},
}

export interface BypassTellerParts {
  readonly bypass: SidecarBypass
  readonly annotator: Annotator
  readonly events: PodEvents
  readonly clock: Clock
  /** Undefined where the pod is gone. */
  readonly find: (uid: string) => PodRecord | undefined
}

export class BypassTeller {
  readonly #parts: BypassTellerParts
  /** By uid; at first what the annotation of an earlier agent says was told. */
  readonly #told = new Map<string, Told | null>()
  readonly #waiting = new Set<string>()

  constructor(parts: BypassTellerParts) {
    this.#parts = parts
  }

  tell(record: PodRecord): void {
    const {annotations, namespace = '', name = ''} = record.pod.metadata
    const shown = annotations?.[BYPASS_ANNOTATION] ?? null
    const last = this.#told.get(record.uid) ?? toldBy(shown)
    const value = this.#annotation(record)
    if (value !== undefined) this.#parts.annotator.want({namespace, pod: name, uid: record.uid}, value, shown)
    const now = this.#outcome(record, last)
    if (now === undefined || now === last) this.#told.set(record.uid, last)
    else this.#event(record, now)
  }

  forget(uid: string): void {
    this.#told.delete(uid)
    this.#parts.annotator.forget(uid)
    this.#parts.events.forget(uid)
  }

  problems(): readonly string[] {
    return this.#parts.annotator.problems()
  }

  /** Undefined: as it is, until more is known. */
  #annotation(record: PodRecord): string | null | undefined {
    const {wanted, active, reason} = this.#parts.bypass.entryOf(record)
    if (reason === 'BypassUnsupported') return BYPASS_UNSUPPORTED
    if (wanted && active) return BYPASS_ON
    const isOut = this.#parts.bypass.standing(record) === 'out'
    return isOut && record.cookie !== null ? null : undefined
  }

  /** Undefined: nothing new. */
  #outcome(record: PodRecord, last: Told | null): Told | undefined {
    const {bypass} = this.#parts
    const {wanted, active, reason} = bypass.entryOf(record)
    if (reason === 'BypassUnsupported') return 'BypassUnsupported'
    if (reason === 'BypassFailed') {
      return (bypass.view(record)?.attempts ?? 0) >= FAILURES_OF_AN_EVENT ? 'BypassFailed' : undefined
    }
    if (wanted && active) return 'SidecarBypassed'
    const isOut = !wanted && !active && record.cookie !== null && !isFinished(record.pod)
    return isOut && last !== null && last !== 'BypassUnsupported' ? 'SidecarRestored' : undefined
  }

  #event(record: PodRecord, told: Told): void {
    const {uid} = record
    if (this.#waiting.has(uid)) return
    const {type, message} = MESSAGES[told]
    const text = told === 'BypassFailed' ? (this.#parts.bypass.view(record)?.problem ?? '') : message
    const waitMs = this.#parts.events.write(record, {type, reason: told, message: text})
    if (waitMs === 0) {
      this.#told.set(uid, told)
      return
    }
    this.#waiting.add(uid)
    this.#parts.clock.after(waitMs, () => {
      this.#waiting.delete(uid)
      const known = this.#parts.find(uid)
      if (known !== undefined) this.tell(known)
    })
  }
}

function toldBy(shown: string | null): Told | null {
  if (shown === BYPASS_ON) return 'SidecarBypassed'
  return shown === BYPASS_UNSUPPORTED ? 'BypassUnsupported' : null
}
