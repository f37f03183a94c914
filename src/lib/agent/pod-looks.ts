// SPDX-License-Identifier: Apache-2.0
/** One look at a pod: what its labels want, what the kernel has, and what follows. What fails is tried again. */
import {KmeshError} from '../errors.ts'
import type {Namespace} from '../model/kube.ts'
import {claim} from './annotate.ts'
import type {SidecarBypass} from './bypass.ts'
import type {BypassTeller} from './bypass-tell.ts'
import {decidePod} from './decide.ts'
import type {EnrollParts} from './enroll-parts.ts'
import {EnrollProblems} from './enroll-problems.ts'
import type {PodCapture} from './pod-capture.ts'
import {nameOf, note, type PodRecord} from './pod-record.ts'
import {SwitchLimit} from './switch-limit.ts'

const RETRY_MS = 1000

export class PodLooks {
  readonly problems: EnrollProblems
  /** Asked for by CNI, until the watch tells them. */
  readonly fetchedNamespaces = new Map<string, Namespace>()
  readonly #parts: EnrollParts
  readonly #records: ReadonlyMap<string, PodRecord>
  readonly #capture: PodCapture
  readonly #bypass: SidecarBypass
  readonly #teller: BypassTeller
  readonly #seek: (record: PodRecord) => void
  readonly #limit: SwitchLimit
  readonly #postponed = new Set<string>()
  readonly #retrying = new Set<string>()
  #stopped = false

  /** @param seek - looks for the pod's processes; `again` is called with what it finds */
  constructor(
    parts: EnrollParts,
    records: ReadonlyMap<string, PodRecord>,
    capture: PodCapture,
    {bypass, teller}: {readonly bypass: SidecarBypass; readonly teller: BypassTeller},
    seek: (record: PodRecord) => void,
  ) {
    this.#parts = parts
    this.#records = records
    this.#capture = capture
    this.#bypass = bypass
    this.#teller = teller
    this.#seek = seek
    this.problems = new EnrollProblems(parts.log)
    this.#limit = new SwitchLimit(parts.clock)
  }

  stop(): void {
    this.#stopped = true
  }

  /** Those that are to be captured are written to disk together first. */
  look(records: readonly PodRecord[]): void {
    const nowMs = this.#parts.clock.nowMs()
    for (const record of records) this.decide(record)
    const due = records.filter((record) => !this.#postpone(record))
    for (const record of due)
      if (record.intent && this.#mayCapture(record))
        this.guard(record, () => this.#capture.prepare(record, nowMs))
    this.save()
    for (const record of due) this.#converge(record, nowMs)
    this.save()
  }

  /** For CNI: without delay, and what fails is the caller's. @throws KernelError, KmeshError */
  settle(record: PodRecord): void {
    this.decide(record)
    const nowMs = this.#parts.clock.nowMs()
    if (record.intent && !this.#mayCapture(record)) {
      throw new KmeshError('its sidecar is not short-circuited yet', {code: 'BypassPending'})
    }
    if (record.intent) this.#capture.capture(record, nowMs)
    else this.#capture.release(record, nowMs)
    this.#capture.state.save()
    this.#bypass.want(record)
    this.#tellSharers(record)
    claim(this.#parts.annotator, record)
    this.#teller.tell(record)
  }

  /** The pod is no more: out of the kernel and out of mind. */
  drop(record: PodRecord): void {
    const {uid} = record
    record.intent = false
    this.guard(record, () => this.#release(record))
    this.#bypass.leave(uid, false)
    this.#teller.forget(uid)
    this.#capture.state.decisions.delete(uid)
    this.#parts.annotator.forget(uid)
    this.problems.forget(uid)
    this.#limit.forget(uid)
    this.save()
  }

  /** What fails is said, kept for the report, and tried again. @returns false then */
  guard(record: PodRecord, run: () => void): boolean {
    const {uid} = record
    if (this.problems.guard(uid, `pod ${nameOf(record)}`, run) === undefined) return true
    if (!this.#retrying.has(uid)) this.#parts.clock.after(RETRY_MS, () => this.#retry(uid))
    this.#retrying.add(uid)
    return false
  }

  save(): void {
    this.problems.guard('state', 'state directory', () => this.#capture.state.save())
  }

  /** Notes what is wanted; nothing follows yet. */
  decide(record: PodRecord): void {
    const {existingPods, sidecarPolicy, namespace, clock} = this.#parts
    const name = record.pod.metadata.namespace ?? ''
    const remembered = existingPods === 'live' ? undefined : this.#capture.state.decisions
    const known = namespace(name) ?? this.fetchedNamespaces.get(name)
    const {enroll, rule, bypass} = decidePod(record.pod, record.uid, known, remembered, sidecarPolicy)
    record.wantsBypass = bypass
    const isRefused = enroll && bypass && this.#bypass.standing(record) === 'unsupported'
    record.rule = isRefused ? 'BypassUnsupported' : rule
    note(record, enroll && !isRefused, record.captured, clock.nowMs())
  }

  /** Not before its sidecar is out of the way; one that the kernel has stays until the rules are known to be broken. */
  #mayCapture(record: PodRecord): boolean {
    if (!record.wantsBypass || this.#bypass.standing(record) === 'in') return true
    const view = this.#bypass.view(record)
    const isBroken = view?.standing === 'out' && view.attempts > 0
    return record.captured && !isBroken
  }

  /** True where the pod has changed sides too often: it is looked at again when it may. */
  #postpone(record: PodRecord): boolean {
    const {uid, cookie, intent, captured} = record
    if (this.#postponed.has(uid)) return true
    const isSame = cookie === null || (intent && this.#mayCapture(record)) === captured
    const waitMs = isSame ? 0 : this.#limit.take(uid)
    if (waitMs === 0) return false
    this.#postponed.add(uid)
    this.#parts.clock.after(waitMs, () => {
      this.#postponed.delete(uid)
      this.#lookAgain(uid)
    })
    return true
  }

  #converge(record: PodRecord, nowMs: number): void {
    this.guard(record, () => {
      if (!record.intent) this.#release(record)
      else if (record.cookie === null) this.#seek(record)
      else if (!this.#mayCapture(record)) this.#release(record)
      else if (this.#capture.capture(record, nowMs)) this.#tellSharers(record)
      // After a release that worked: see the order in bypass.ts.
      this.#bypass.want(record)
    })
    this.#teller.tell(record)
    if (record.captured || !record.intent) claim(this.#parts.annotator, record)
  }

  #release(record: PodRecord): void {
    if (this.#capture.release(record, this.#parts.clock.nowMs())) this.#tellSharers(record)
  }

  /** Pods of the same network namespace were captured or released with it, whatever they want. */
  #tellSharers({cookie, uid}: PodRecord): void {
    for (const other of this.#records.values()) {
      if (other.uid === uid || other.cookie === null || other.cookie !== cookie) continue
      note(other, other.intent, this.#capture.marks.has(other), this.#parts.clock.nowMs())
      claim(this.#parts.annotator, other)
    }
  }

  #retry(uid: string): void {
    this.#retrying.delete(uid)
    const record = this.#records.get(uid)
    if (record !== undefined && !this.#stopped) this.#seek(record)
    this.#lookAgain(uid)
  }

  #lookAgain(uid: string): void {
    const record = this.#records.get(uid)
    if (record !== undefined && !this.#stopped) this.look([record])
  }
}
