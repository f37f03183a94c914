// SPDX-License-Identifier: Apache-2.0
/**
 * Pods of the node in km_manage, as labels ask for: seen, found among the processes, written, claimed.
 * Level-triggered: every look compares what the labels want with what the kernel has.
 */
import {messageOf} from '../errors.ts'
import type {EnrollmentEntry, ExistingPods} from '../model/api.ts'
import {encode} from '../model/codec.ts'
import {DATAPLANE_LABEL, decideEnrollment, isAnnotatedCaptured, isKmesh} from '../model/enrollment.ts'
import type {Pod} from '../model/kube.ts'
import {MANAGE} from '../model/maps.ts'
import type {BpfMap, Clock, Log, Netns, PodNamespace, Proc, StateFiles} from '../ports.ts'
import type {Annotator} from './annotate.ts'
import {isFinished, podAddresses} from './desired.ts'
import {EnrollState} from './enroll-state.ts'
import {PodSearch} from './pod-search.ts'

/** Every pod is looked up again, for sandboxes that were made anew without a word. */
const CHECK_MS = 30_000
const RETRY_MS = 1000

export interface EnrollParts {
  readonly proc: Proc
  readonly netns: Netns
  readonly manage: BpfMap
  readonly files: StateFiles
  readonly clock: Clock
  readonly log: Log
  readonly annotator: Annotator
  readonly existingPods: ExistingPods
  /** False where the maps are new: then cookies of before mean nothing. */
  readonly adopted: boolean
  readonly namespaceLabels: (namespace: string) => Readonly<Record<string, string>> | undefined
}

interface PodRecord {
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

export class Enroller {
  readonly #parts: EnrollParts
  readonly #state: EnrollState
  readonly #records = new Map<string, PodRecord>()
  readonly #search: PodSearch
  readonly #problems = new Map<string, string>()
  #started = false
  #stopped = false

  constructor(parts: EnrollParts) {
    this.#parts = parts
    this.#state = new EnrollState(parts.files, parts.log)
    this.#search = new PodSearch(parts.proc, parts.clock, parts.log, (found) => this.#found(found))
    if (!parts.adopted) this.#state.enrolled.clear()
  }

  /** Call when pods and namespaces are complete for the first time. */
  start(): void {
    this.#started = true
    this.#dropCookiesOfGonePods()
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
      if (record.cookie !== null) this.#note(record, record.intent, this.#isInKernel(record.cookie))
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
    })
  }

  /** Cookie -> `namespace/name`, for dumps. */
  podsByCookie(): ReadonlyMap<string, string> {
    const pods = new Map<string, string>()
    for (const {cookie, pod} of this.#records.values()) {
      if (cookie !== null) pods.set(cookie, `${pod.metadata.namespace}/${pod.metadata.name}`)
    }
    return pods
  }

  #newRecord(pod: Pod, uid: string): PodRecord {
    const kept = this.#state.enrolled.get(uid)
    return {
      pod,
      uid,
      rule: '',
      intent: kept !== undefined,
      cookie: kept?.cookie ?? null,
      identity: null,
      captured: kept !== undefined && this.#isInKernel(kept.cookie),
      sinceMs: kept?.sinceMs ?? this.#parts.clock.nowMs(),
      containers: '',
    }
  }

  #look(record: PodRecord): void {
    this.#decide(record)
    this.#converge(record)
  }

  #decide(record: PodRecord): void {
    const {pod} = record
    const labels = this.#parts.namespaceLabels(pod.metadata.namespace ?? '')
    const now = decideEnrollment(pod, labels)
    const first = this.#firstDecision(record.uid, isKmesh(labels?.[DATAPLANE_LABEL]))
    const byNamespace = now.rule === 'NamespaceLabel' || now.rule === 'NotLabelled'
    let {enroll, rule}: {enroll: boolean; rule: string} = now
    if (byNamespace && first !== enroll) {
      enroll = first
      rule = first ? 'NamespaceLabel' : 'StartedBefore'
    }
    record.rule = rule
    this.#note(record, enroll && !isFinished(pod), record.captured)
  }

  /** With `untouched` a namespace's label counts as it was when the pod was first seen. */
  #firstDecision(uid: string, labelled: boolean): boolean {
    if (this.#parts.existingPods === 'live') return labelled
    const before = this.#state.decisions.get(uid)
    if (before === undefined) this.#state.decisions.set(uid, labelled)
    return before ?? labelled
  }

  #converge(record: PodRecord): void {
    this.#guard(record, () => {
      if (record.intent) this.#capture(record)
      else this.#release(record)
    })
    const {namespace = '', name: pod = ''} = record.pod.metadata
    const shown = isAnnotatedCaptured(record.pod.metadata.annotations)
    if (record.captured || !record.intent) {
      this.#parts.annotator.want({namespace, pod, uid: record.uid}, record.captured, shown)
    }
  }

  #capture(record: PodRecord): void {
    const {cookie} = record
    if (cookie === null) {
      this.#seek(record)
      return
    }
    const {namespace = '', name: pod = ''} = record.pod.metadata
    const isNew = !this.#isInKernel(cookie)
    if (isNew || !record.captured) this.#note(record, true, true)
    this.#remember(record)
    if (!isNew) return
    record.captured = false
    this.#state.save()
    this.#parts.manage.update(manageKey(cookie), encode(MANAGE.value, {flags: 0}))
    record.captured = true
    this.#parts.log.info(`enrolled pod ${namespace}/${pod}`, {rule: record.rule, cookie})
  }

  #release(record: PodRecord): void {
    const {cookie, uid} = record
    if (cookie !== null && this.#parts.manage.delete(manageKey(cookie))) {
      const {namespace, name} = record.pod.metadata
      this.#parts.log.info(`released pod ${namespace}/${name}`, {rule: record.rule, cookie})
    }
    this.#note(record, record.intent, false)
    if (this.#state.enrolled.delete(uid)) this.#save()
  }

  #note(record: PodRecord, intent: boolean, captured: boolean): void {
    if (record.intent !== intent || record.captured !== captured) record.sinceMs = this.#parts.clock.nowMs()
    record.intent = intent
    record.captured = captured
  }

  /** False where it failed: it is said, kept for the report, and tried again. */
  #guard(record: PodRecord, run: () => void): boolean {
    try {
      run()
      this.#problems.delete(record.uid)
      return true
    } catch (error) {
      const {namespace, name} = record.pod.metadata
      const text = `pod ${namespace}/${name}: ${messageOf(error)}`
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

  #isInKernel(cookie: string): boolean {
    return this.#parts.manage.lookup(manageKey(cookie)) !== undefined
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

  /** Only cookies that the state file names as ours; those of others stay. */
  #dropCookiesOfGonePods(): void {
    for (const [uid, {cookie, namespace, pod}] of this.#state.enrolled) {
      if (this.#records.has(uid)) continue
      this.#parts.manage.delete(manageKey(cookie))
      this.#state.enrolled.delete(uid)
      this.#parts.log.info(`released pod ${namespace}/${pod}, which is gone`, {cookie})
    }
    for (const uid of this.#state.decisions.keys()) {
      if (!this.#records.has(uid)) this.#state.decisions.delete(uid)
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
    this.#parts.manage.delete(manageKey(old))
    this.#note(record, record.intent, false)
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

function manageKey(cookie: string): Uint8Array {
  return encode(MANAGE.key, {cookie, address: null})
}

/** Changes when a container or the whole sandbox was started anew. */
function containersOf(pod: Pod): string {
  const containers = pod.status?.containerStatuses ?? []
  return [
    pod.status?.phase,
    podAddresses(pod).join(),
    ...containers.map(({name, containerID, restartCount}) => `${name}=${containerID}#${restartCount}`),
  ].join(' ')
}
