// SPDX-License-Identifier: Apache-2.0
/**
 * Pods of the node in km_manage, as labels ask for: seen, found among the processes, written, claimed.
 * Level-triggered: every look compares what the labels want with what the kernel has.
 */
import {messageOf} from '../errors.ts'
import type {EnrollmentEntry} from '../model/api.ts'
import type {Namespace, Pod} from '../model/kube.ts'
import type {PodNamespace} from '../ports.ts'
import {claim} from './annotate.ts'
import {decidePod} from './decide.ts'
import {isFinished} from './desired.ts'
import {type CniAnswer, type CniPod, CniPods} from './enroll-cni.ts'
import type {EnrollParts} from './enroll-parts.ts'
import {EnrollProblems} from './enroll-problems.ts'
import {PodCapture} from './pod-capture.ts'
import {containersOf, kubeletUid, nameOf, note, type PodRecord, recordOf, reportOf} from './pod-record.ts'
import {PodSearch} from './pod-search.ts'

/** Every pod is looked up again, for sandboxes that were made anew without a word. */
const CHECK_MS = 30_000
const RETRY_MS = 1000

export class Enroller {
  readonly #parts: EnrollParts
  readonly #records = new Map<string, PodRecord>()
  readonly #capture: PodCapture
  readonly #search: PodSearch
  readonly #problems: EnrollProblems
  readonly #cni: CniPods
  /** Asked for by CNI, until the watch tells them. */
  readonly #fetchedNamespaces = new Map<string, Namespace>()
  readonly #retrying = new Set<string>()
  #started = false
  #stopped = false

  constructor(parts: EnrollParts) {
    this.#parts = parts
    this.#capture = new PodCapture(parts, this.#records)
    this.#problems = new EnrollProblems(parts.log)
    this.#search = new PodSearch(parts.proc, parts.clock, parts.log, (found) => this.#found(found))
    this.#cni = new CniPods(parts, this.#capture, {
      records: () => this.#records.values(),
      fetched: (pod) => this.#record(pod, true),
      namespaceFetched: (namespace) => this.#fetchedNamespaces.set(namespace.metadata.name ?? '', namespace),
      settle: (record) => this.#settle(record),
      drop: (record) => this.#drop(record),
      seek: (record) => this.#seek(record),
    })
  }

  /** Call when pods and namespaces are complete for the first time. */
  start(): void {
    this.#started = true
    this.#problems.guard('gone', 'pods that are gone', () => this.#capture.releaseGone())
    this.#look([...this.#records.values()])
    this.#search.start()
    this.#checkLater()
  }

  stop(): void {
    this.#stopped = true
    this.#search.stop()
  }

  /** @param pod - of this node */
  podChanged(pod: Pod): void {
    const record = this.#record(pod, false)
    if (this.#started) this.#look([record])
  }

  podDeleted(pod: Pod): void {
    const record = this.#records.get(pod.metadata.uid ?? '')
    if (record === undefined) return
    record.pod = pod
    this.#drop(record)
  }

  namespaceChanged(namespace: string): void {
    this.#fetchedNamespaces.delete(namespace)
    if (!this.#started) return
    this.#look([...this.#records.values()].filter(({pod}) => pod.metadata.namespace === namespace))
  }

  /**
   * CNI has made the pod's namespace; returns when the kernel has the pod, or need not. Done again it changes nothing.
   * @throws KmeshError `NodeNamespace`, `PodNotFound`, `WrongNode`; KernelError; what the API server gave
   */
  addPod(request: CniPod): Promise<CniAnswer> {
    return this.#cni.add(request)
  }

  /** CNI takes the sandbox down; another one of the same pod stays. @throws KernelError, KmeshError */
  async removePod(request: CniPod): Promise<void> {
    this.#cni.remove(request)
  }

  /** @param kept - namespace paths and uids that the runtime still has. @throws KernelError, KmeshError */
  keepOnly(kept: ReadonlySet<string>): void {
    this.#cni.keepOnly(kept)
  }

  problems(): readonly string[] {
    return [...this.#problems.texts(), ...this.#parts.annotator.problems()]
  }

  /** Every pod of the node; `captured` is read from the kernel now. */
  report(): readonly EnrollmentEntry[] {
    return [...this.#records.values()].map((record) => {
      if (record.cookie !== null)
        note(record, record.intent, this.#capture.marks.has(record), this.#parts.clock.nowMs())
      return reportOf(record, this.#capture.marks.classOf(record))
    })
  }

  /** Cookie -> `namespace/name`, for dumps. */
  podsByCookie(): ReadonlyMap<string, string> {
    const known = [...this.#records.values()].filter(({cookie}) => cookie !== null)
    return new Map(known.map((record) => [record.cookie ?? '', nameOf(record)]))
  }

  #record(pod: Pod, isFetched: boolean): PodRecord {
    const uid = pod.metadata.uid ?? ''
    const known = this.#records.get(uid)
    const record = known ?? this.#newRecord(pod, uid)
    const containers = containersOf(pod)
    record.pod = pod
    if (known === undefined || record.containers !== containers) this.#seek(record)
    record.containers = containers
    record.isFetched = isFetched
    this.#records.set(uid, record)
    return record
  }

  #newRecord(pod: Pod, uid: string): PodRecord {
    const kept = this.#capture.state.enrolled.get(uid)
    const record = recordOf(pod, uid, kept, this.#parts.clock.nowMs())
    record.captured = this.#capture.marks.has(record)
    return record
  }

  #drop(record: PodRecord): void {
    const {uid} = record
    record.intent = false
    this.#guard(record, () => this.#release(record))
    this.#records.delete(uid)
    this.#search.drop(kubeletUid(record.pod))
    this.#capture.state.decisions.delete(uid)
    this.#parts.annotator.forget(uid)
    this.#problems.forget(uid)
    this.#save()
  }

  /** Those that are to be captured are written to disk together first. */
  #look(records: readonly PodRecord[]): void {
    const nowMs = this.#parts.clock.nowMs()
    for (const record of records) this.#decide(record)
    for (const record of records)
      if (record.intent) this.#guard(record, () => this.#capture.prepare(record, nowMs))
    this.#save()
    for (const record of records) this.#converge(record, nowMs)
    this.#save()
  }

  #decide(record: PodRecord): void {
    const {existingPods, namespace, clock} = this.#parts
    const name = record.pod.metadata.namespace ?? ''
    const remembered = existingPods === 'live' ? undefined : this.#capture.state.decisions
    const known = namespace(name) ?? this.#fetchedNamespaces.get(name)
    const {enroll, rule} = decidePod(record.pod, record.uid, known, remembered)
    record.rule = rule
    note(record, enroll, record.captured, clock.nowMs())
  }

  #converge(record: PodRecord, nowMs: number): void {
    this.#guard(record, () => {
      if (!record.intent) this.#release(record)
      else if (record.cookie === null) this.#seek(record)
      else if (this.#capture.capture(record, nowMs)) this.#tellSharers(record)
    })
    if (record.captured || !record.intent) claim(this.#parts.annotator, record)
  }

  /** For CNI: without delay, and what fails is the caller's too. */
  #settle(record: PodRecord): void {
    this.#decide(record)
    const nowMs = this.#parts.clock.nowMs()
    if (record.intent) this.#capture.capture(record, nowMs)
    else this.#release(record)
    this.#capture.state.save()
    this.#tellSharers(record)
    claim(this.#parts.annotator, record)
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

  /** What fails is said, kept for the report, and tried again. */
  #guard(record: PodRecord, run: () => void): boolean {
    const {uid} = record
    if (this.#problems.guard(uid, `pod ${nameOf(record)}`, run) === undefined) return true
    if (!this.#retrying.has(uid)) this.#parts.clock.after(RETRY_MS, () => this.#retry(uid))
    this.#retrying.add(uid)
    return false
  }

  #retry(uid: string): void {
    this.#retrying.delete(uid)
    const record = this.#records.get(uid)
    if (record === undefined || this.#stopped) return
    this.#seek(record)
    this.#look([record])
  }

  #save(): void {
    this.#problems.guard('state', 'state directory', () => this.#capture.state.save())
  }

  #seek(record: PodRecord): void {
    if (record.pod.spec?.hostNetwork === true || isFinished(record.pod)) return
    this.#search.seek(kubeletUid(record.pod))
  }

  #found(found: ReadonlyMap<string, PodNamespace>): void {
    const settled: PodRecord[] = []
    for (const record of this.#records.values()) {
      const namespace = found.get(kubeletUid(record.pod))
      if (namespace !== undefined && this.#guard(record, () => this.#identify(record, namespace)))
        settled.push(record)
    }
    this.#look(settled)
  }

  #identify(record: PodRecord, namespace: PodNamespace): void {
    const cookie = this.#parts.netns.cookie(namespace.path).toString()
    if (cookie === record.goneCookie) this.#seek(record)
    else this.#capture.identify(record, cookie, null)
  }

  #checkLater(): void {
    this.#parts.clock.after(CHECK_MS, () => {
      if (this.#stopped) return
      for (const record of this.#records.values()) {
        this.#seek(record)
        if (record.isFetched) void this.#confirm(record)
      }
      this.#checkLater()
    })
  }

  async #confirm(record: PodRecord): Promise<void> {
    try {
      await this.#cni.confirm(record)
    } catch (error) {
      this.#parts.log.debug(`pod ${nameOf(record)}: cannot ask for it: ${messageOf(error)}`)
    }
  }
}
