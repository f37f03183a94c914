// SPDX-License-Identifier: Apache-2.0
/**
 * Pods of the node in the kernel, as labels ask for: seen, found among the processes, written, claimed.
 * Level-triggered: every look compares what the labels want with what the kernel has.
 */
import {messageOf} from '../errors.ts'
import type {EnrollmentEntry} from '../model/api.ts'
import type {Pod} from '../model/kube.ts'
import type {PodNamespace} from '../ports.ts'
import {SidecarBypass} from './bypass.ts'
import {BypassTeller} from './bypass-tell.ts'
import {isFinished, podAddresses} from './desired.ts'
import {type CniAnswer, type CniPod, CniPods} from './enroll-cni.ts'
import type {EnrollParts} from './enroll-parts.ts'
import {PodCapture} from './pod-capture.ts'
import {repeatChecks} from './pod-checks.ts'
import {PodLooks} from './pod-looks.ts'
import {containersOf, kubeletUid, nameOf, note, type PodRecord, recordOf, reportOf} from './pod-record.ts'
import {PodSearch} from './pod-search.ts'
import {type KnownMarks, StrayCookies} from './stray-cookies.ts'

export class Enroller {
  readonly #parts: EnrollParts
  readonly #records = new Map<string, PodRecord>()
  readonly #capture: PodCapture
  readonly #bypass: SidecarBypass
  readonly #teller: BypassTeller
  readonly #looks: PodLooks
  readonly #search: PodSearch
  readonly #cni: CniPods
  readonly #strays: StrayCookies
  #stopChecks: () => void = () => undefined
  #started = false

  /** @throws KmeshError `NoNetCls` */
  constructor(parts: EnrollParts) {
    this.#parts = parts
    const seek = (record: PodRecord) => this.#seek(record)
    this.#capture = new PodCapture(parts, this.#records)
    const onChange = (records: readonly PodRecord[]) => this.#bypassChanged(records)
    this.#bypass = new SidecarBypass({...parts, onChange, seek})
    this.#teller = new BypassTeller({
      ...parts,
      bypass: this.#bypass,
      annotator: parts.bypassAnnotator,
      find: (uid) => this.#records.get(uid),
    })
    const sidecars = {bypass: this.#bypass, teller: this.#teller}
    this.#looks = new PodLooks(parts, this.#records, this.#capture, sidecars, seek)
    this.#search = new PodSearch(parts.proc, parts.clock, parts.log, (found) => this.#found(found))
    this.#strays = new StrayCookies(parts)
    this.#cni = new CniPods(parts, this.#capture, {
      records: () => this.#records.values(),
      fetched: (pod) => this.#record(pod, true),
      namespaceFetched: (namespace) =>
        this.#looks.fetchedNamespaces.set(namespace.metadata.name ?? '', namespace),
      bypass: async (record) => {
        this.#looks.decide(record)
        if (record.wantsBypass) await this.#bypass.ensure(record)
      },
      settle: (record) => this.#looks.settle(record),
      detached: ({uid}) => this.#bypass.leave(uid, true),
      drop: (record) => this.#drop(record),
      seek,
    })
  }

  /** Call when pods and namespaces are complete for the first time. */
  start(): void {
    this.#started = true
    this.#bypass.start((uid) => this.#records.has(uid))
    this.#looks.problems.guard('gone', 'pods that are gone', () => this.#capture.releaseGone())
    this.#looks.look([...this.#records.values()])
    this.#search.start()
    this.#stopChecks = repeatChecks(this.#parts.clock, [
      () => this.#seekAll(),
      () => this.#confirmFetched(),
      () => this.#bypass.lookAtAll(),
      () => this.#strays.collect(() => this.#knownMarks()),
    ])
  }

  stop(): void {
    this.#looks.stop()
    this.#bypass.stop()
    this.#search.stop()
    this.#stopChecks()
  }

  /** @param pod - of this node */
  podChanged(pod: Pod): void {
    const record = this.#record(pod, false)
    if (this.#started) this.#looks.look([record])
  }

  podDeleted(pod: Pod): void {
    const record = this.#records.get(pod.metadata.uid ?? '')
    if (record === undefined) return
    record.pod = pod
    this.#drop(record)
  }

  namespaceChanged(namespace: string): void {
    this.#looks.fetchedNamespaces.delete(namespace)
    if (!this.#started) return
    this.#looks.look([...this.#records.values()].filter(({pod}) => pod.metadata.namespace === namespace))
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

  problems(): readonly string[] {
    const ofSidecars = [...this.#bypass.problems(), ...this.#teller.problems()]
    return [...this.#looks.problems.texts(), ...this.#parts.annotator.problems(), ...ofSidecars]
  }

  /** Every pod of the node; `captured` is read from the kernel now. */
  report(): readonly EnrollmentEntry[] {
    const {marks} = this.#capture
    return [...this.#records.values()].map((record) => {
      if (record.cookie !== null) note(record, record.intent, marks.has(record), this.#parts.clock.nowMs())
      return reportOf(record, marks.classOf(record), this.#bypass.entryOf(record))
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
    // A container that started may have written rules of its own.
    if (record.containers !== containers) this.#bypass.lookAgain(record)
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
    this.#looks.drop(record)
    this.#records.delete(record.uid)
    this.#search.drop(kubeletUid(record.pod))
  }

  #seek(record: PodRecord): void {
    if (record.pod.spec?.hostNetwork === true || isFinished(record.pod)) return
    this.#search.seek(kubeletUid(record.pod))
  }

  #seekAll(): void {
    for (const record of this.#records.values()) this.#seek(record)
  }

  #found(found: ReadonlyMap<string, PodNamespace>): void {
    const settled: PodRecord[] = []
    for (const record of this.#records.values()) {
      const namespace = found.get(kubeletUid(record.pod))
      if (namespace !== undefined && this.#looks.guard(record, () => this.#identify(record, namespace)))
        settled.push(record)
    }
    this.#looks.look(settled)
  }

  #identify(record: PodRecord, namespace: PodNamespace): void {
    const cookie = this.#parts.netns.cookie(namespace.path).toString()
    if (cookie === record.goneCookie) {
      this.#seek(record)
      return
    }
    record.processPath = namespace.path
    this.#capture.identify(record, cookie, null)
  }

  #bypassChanged(records: readonly PodRecord[]): void {
    this.#looks.look(records.filter((record) => this.#records.get(record.uid) === record))
  }

  async #confirmFetched(): Promise<void> {
    for (const record of [...this.#records.values()]) {
      if (!record.isFetched) continue
      try {
        await this.#cni.confirm(record)
      } catch (error) {
        this.#parts.log.debug(`pod ${nameOf(record)}: cannot ask for it: ${messageOf(error)}`)
      }
    }
  }

  #knownMarks(): KnownMarks {
    const records = [...this.#records.values()]
    const cookiesOf = (some: readonly PodRecord[]) =>
      new Set(some.map(({cookie}) => cookie).filter((cookie) => cookie !== null))
    return {
      cookies: cookiesOf(records),
      running: cookiesOf(records.filter(({captured, pod}) => captured && pod.status?.phase === 'Running')),
      addresses: new Set(records.flatMap(({pod}) => podAddresses(pod))),
    }
  }
}
