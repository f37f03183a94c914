// SPDX-License-Identifier: Apache-2.0
/** One look at a pod: what its labels want, what the kernel has, and what follows. What fails is tried again. */
import type {Namespace} from '../model/kube.ts'
import {claim} from './annotate.ts'
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
    seek: (record: PodRecord) => void,
  ) {
    this.#parts = parts
    this.#records = records
    this.#capture = capture
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
    for (const record of records) this.#decide(record)
    const due = records.filter((record) => !this.#postpone(record))
    for (const record of due)
      if (record.intent) this.guard(record, () => this.#capture.prepare(record, nowMs))
    this.save()
    for (const record of due) this.#converge(record, nowMs)
    this.save()
  }

  /** For CNI: without delay, and what fails is the caller's. @throws KernelError, KmeshError */
  settle(record: PodRecord): void {
    this.#decide(record)
    const nowMs = this.#parts.clock.nowMs()
    if (record.intent) this.#capture.capture(record, nowMs)
    else this.#capture.release(record, nowMs)
    this.#capture.state.save()
    this.#tellSharers(record)
    claim(this.#parts.annotator, record)
  }

  /** The pod is no more: out of the kernel and out of mind. */
  drop(record: PodRecord): void {
    const {uid} = record
    record.intent = false
    this.guard(record, () => this.#release(record))
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

  #decide(record: PodRecord): void {
    const {existingPods, namespace, clock} = this.#parts
    const name = record.pod.metadata.namespace ?? ''
    const remembered = existingPods === 'live' ? undefined : this.#capture.state.decisions
    const known = namespace(name) ?? this.fetchedNamespaces.get(name)
    const {enroll, rule} = decidePod(record.pod, record.uid, known, remembered)
    record.rule = rule
    note(record, enroll, record.captured, clock.nowMs())
  }

  /** True where the pod has changed sides too often: it is looked at again when it may. */
  #postpone({uid, cookie, intent, captured}: PodRecord): boolean {
    if (this.#postponed.has(uid)) return true
    const waitMs = cookie === null || intent === captured ? 0 : this.#limit.take(uid)
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
      else if (this.#capture.capture(record, nowMs)) this.#tellSharers(record)
    })
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
