// SPDX-License-Identifier: Apache-2.0
/**
 * Pods of the node in km_manage, as labels ask for: seen, found among the processes, written, claimed.
 * Level-triggered: every look compares what the labels want with what the kernel has.
 */
import {messageOf} from '../errors.ts'
import type {EnrollmentEntry} from '../model/api.ts'
import type {Pod} from '../model/kube.ts'
import type {PodNamespace} from '../ports.ts'
import {claim} from './annotate.ts'
import {decidePod} from './decide.ts'
import {isFinished} from './desired.ts'
import type {EnrollParts} from './enroll-parts.ts'
import {EnrollState} from './enroll-state.ts'
import {ManagedCookies} from './managed.ts'
import {containersOf, nameOf, note, type PodRecord, recordOf, reportOf} from './pod-record.ts'
import {PodSearch} from './pod-search.ts'

/** Every pod is looked up again, for sandboxes that were made anew without a word. */
const CHECK_MS = 30_000
const RETRY_MS = 1000

export class Enroller {
  readonly #parts: EnrollParts
  readonly #state: EnrollState
  readonly #managed: ManagedCookies
  readonly #records = new Map<string, PodRecord>()
  readonly #search: PodSearch
  readonly #problems = new Map<string, string>()
  #started = false
  #stopped = false

  constructor(parts: EnrollParts) {
    this.#parts = parts
    this.#managed = new ManagedCookies(parts.manage)
    this.#state = new EnrollState(parts.files, parts.log)
    this.#search = new PodSearch(parts.proc, parts.clock, parts.log, (found) => this.#found(found))
    if (!parts.adopted) this.#state.enrolled.clear()
  }

  /** Call when pods and namespaces are complete for the first time. */
  start(): void {
    this.#started = true
    for (const {cookie, namespace, pod} of this.#state.takeGone((uid) => this.#records.has(uid))) {
      this.#managed.remove(cookie)
      this.#parts.log.info(`released pod ${namespace}/${pod}, which is gone`, {cookie})
    }
    for (const record of this.#records.values()) this.#decide(record)
    this.#save()
    for (const record of this.#records.values()) this.#converge(record)
    this.#search.start()
    this.#checkLater()
  }

  stop(): void {
    this.#stopped = true
    this.#search.stop()
  }

  /** @param pod - of this node */
  podChanged(pod: Pod): void {
    const uid = pod.metadata.uid ?? ''
    const known = this.#records.get(uid)
    const record = known ?? this.#newRecord(pod, uid)
    const containers = containersOf(pod)
    if (known === undefined || record.containers !== containers) this.#seek(record)
    record.pod = pod
    record.containers = containers
    this.#records.set(uid, record)
    if (this.#started) this.#look(record)
  }

  podDeleted(pod: Pod): void {
    const uid = pod.metadata.uid ?? ''
    const record = this.#records.get(uid)
    if (record === undefined) return
    record.pod = pod
    record.intent = false
    this.#guard(record, () => this.#release(record))
    this.#records.delete(uid)
    this.#search.drop(uid)
    this.#state.decisions.delete(uid)
    this.#parts.annotator.forget(uid)
    this.#problems.delete(uid)
    this.#save()
  }

  namespaceChanged(namespace: string): void {
    if (!this.#started) return
    for (const record of this.#records.values()) {
      if (record.pod.metadata.namespace === namespace) this.#look(record)
    }
  }

  problems(): readonly string[] {
    return [...this.#problems.values(), ...this.#parts.annotator.problems()]
  }

  /** Every pod of the node; `captured` is read from the kernel now. */
  report(): readonly EnrollmentEntry[] {
    return [...this.#records.values()].map((record) => {
      if (record.cookie !== null)
        note(record, record.intent, this.#managed.has(record.cookie), this.#parts.clock.nowMs())
      return reportOf(record)
    })
  }

  /** Cookie -> `namespace/name`, for dumps. */
  podsByCookie(): ReadonlyMap<string, string> {
    const known = [...this.#records.values()].filter(({cookie}) => cookie !== null)
    return new Map(known.map((record) => [record.cookie ?? '', nameOf(record)]))
  }

  #newRecord(pod: Pod, uid: string): PodRecord {
    const kept = this.#state.enrolled.get(uid)
    return recordOf(
      pod,
      uid,
      kept,
      kept !== undefined && this.#managed.has(kept.cookie),
      this.#parts.clock.nowMs(),
    )
  }

  #look(record: PodRecord): void {
    this.#decide(record)
    this.#converge(record)
  }

  #decide(record: PodRecord): void {
    const labels = this.#parts.namespaceLabels(record.pod.metadata.namespace ?? '')
    const remembered = this.#parts.existingPods === 'live' ? undefined : this.#state.decisions
    const {enroll, rule} = decidePod(record.pod, record.uid, labels, remembered)
    record.rule = rule
    note(record, enroll, record.captured, this.#parts.clock.nowMs())
  }

  #converge(record: PodRecord): void {
    this.#guard(record, () => {
      if (record.intent) this.#capture(record)
      else this.#release(record)
    })
    if (record.captured || !record.intent) claim(this.#parts.annotator, record)
  }

  #capture(record: PodRecord): void {
    const {cookie} = record
    if (cookie === null) {
      this.#seek(record)
      return
    }
    const isNew = !this.#managed.has(cookie)
    if (isNew || !record.captured) note(record, true, true, this.#parts.clock.nowMs())
    this.#remember(record)
    if (!isNew) return
    record.captured = false
    this.#state.save()
    this.#managed.add(cookie)
    record.captured = true
    this.#parts.log.info(`enrolled pod ${nameOf(record)}`, {rule: record.rule, cookie})
  }

  #release(record: PodRecord): void {
    const {cookie, uid} = record
    if (cookie !== null && this.#managed.remove(cookie)) {
      this.#parts.log.info(`released pod ${nameOf(record)}`, {rule: record.rule, cookie})
    }
    note(record, record.intent, false, this.#parts.clock.nowMs())
    if (this.#state.enrolled.delete(uid)) this.#save()
  }

  /** False where it failed: it is said, kept for the report, and tried again. */
  #guard(record: PodRecord, run: () => void): boolean {
    try {
      run()
      this.#problems.delete(record.uid)
      return true
    } catch (error) {
      const text = `pod ${nameOf(record)}: ${messageOf(error)}`
      if (this.#problems.get(record.uid) !== text) this.#parts.log.error(text)
      this.#problems.set(record.uid, text)
      this.#parts.clock.after(RETRY_MS, () => this.#retry(record.uid))
      return false
    }
  }

  #retry(uid: string): void {
    const record = this.#records.get(uid)
    if (record === undefined || this.#stopped) return
    this.#seek(record)
    this.#converge(record)
  }

  #save(): void {
    try {
      this.#state.save()
      this.#problems.delete('state')
    } catch (error) {
      this.#problems.set('state', `cannot write the state directory: ${messageOf(error)}`)
      this.#parts.log.error(`cannot write the state directory: ${messageOf(error)}`)
    }
  }

  #seek(record: PodRecord): void {
    if (record.pod.spec?.hostNetwork === true || isFinished(record.pod)) return
    this.#search.seek(record.uid)
  }

  #found(found: ReadonlyMap<string, PodNamespace>): void {
    const settled: PodRecord[] = []
    for (const [uid, namespace] of found) {
      const record = this.#records.get(uid)
      if (record !== undefined && this.#guard(record, () => this.#identify(record, namespace)))
        settled.push(record)
    }
    // All of them in one write; the writes of each capture then find nothing new.
    for (const record of settled) if (record.intent) this.#remember(record)
    this.#save()
    for (const record of settled) this.#converge(record)
  }

  /** A new namespace means a new sandbox: the old cookie names nothing any more. */
  #identify(record: PodRecord, namespace: PodNamespace): void {
    if (record.identity === namespace.identity) return
    const cookie = this.#parts.netns.cookie(namespace.path).toString()
    const old = record.cookie
    record.cookie = cookie
    record.identity = namespace.identity
    if (old === null || old === cookie) return
    this.#managed.remove(old)
    note(record, record.intent, false, this.#parts.clock.nowMs())
  }

  #remember({uid, cookie, pod, sinceMs}: PodRecord): void {
    const {namespace = '', name = ''} = pod.metadata
    if (cookie !== null) this.#state.enrolled.set(uid, {namespace, pod: name, cookie, sinceMs})
  }

  #checkLater(): void {
    this.#parts.clock.after(CHECK_MS, () => {
      if (this.#stopped) return
      for (const record of this.#records.values()) this.#seek(record)
      this.#checkLater()
    })
  }
}
