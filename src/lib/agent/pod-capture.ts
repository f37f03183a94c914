// SPDX-License-Identifier: Apache-2.0
/**
 * Pods in and out of the kernel, with what must be on disk before and after. Pods that share a network namespace
 * share its cookie: it stays while one of them wants it.
 */
import type {EnrollParts} from './enroll-parts.ts'
import {EnrollState} from './enroll-state.ts'
import {KMESH_CLASSID, PodMarks} from './pod-marks.ts'
import {kubeletUid, nameOf, note, type PodRecord} from './pod-record.ts'

export class PodCapture {
  readonly state: EnrollState
  readonly marks: PodMarks
  readonly #parts: EnrollParts
  readonly #records: ReadonlyMap<string, PodRecord>

  /** @param records - every pod of the node, by uid; the caller keeps it */
  constructor(parts: EnrollParts, records: ReadonlyMap<string, PodRecord>) {
    this.#parts = parts
    this.#records = records
    this.marks = new PodMarks(parts)
    this.state = new EnrollState(parts.files, parts.log)
    if (!parts.adopted) this.state.forgetCookies()
  }

  /**
   * Takes what the pod's namespace is now. A new one means a new sandbox: the old cookie names nothing any more.
   * @throws KernelError, then the record is as before
   */
  identify(record: PodRecord, cookie: string, netnsPath: string | null): void {
    const old = record.cookie
    if (old !== null && old !== cookie) {
      this.#takeCookie(old, record)
      note(record, record.intent, false, this.#parts.clock.nowMs())
    }
    record.netnsPath = netnsPath ?? (old === cookie ? record.netnsPath : null)
    record.cookie = cookie
    record.goneCookie = null
  }

  /** Notes it for the state file; `capture` with the same time then finds nothing new. @throws KernelError */
  prepare(record: PodRecord, nowMs: number): void {
    const {uid, cookie, netnsPath, pod} = record
    if (cookie === null) return
    const kept = this.state.enrolled.get(uid)
    const isCaptured = record.captured && this.marks.has(record)
    if (!isCaptured) record.sinceMs = nowMs
    const {namespace = '', name = ''} = pod.metadata
    const classUid = this.#parts.identity === 'classid' ? kubeletUid(pod) : kept?.classUid
    this.state.enrolled.set(uid, {
      namespace,
      pod: name,
      cookie,
      ...(netnsPath === null ? {} : {netnsPath}),
      ...(classUid === undefined ? {} : {classUid}),
      // A label that flaps faster than we follow costs no write.
      sinceMs: isCaptured ? (kept?.sinceMs ?? record.sinceMs) : record.sinceMs,
    })
  }

  /**
   * On disk, then in the kernel.
   * @returns false where the kernel had it, or the pod's namespace is not known yet
   * @throws KernelError, KmeshError of the state directory or of the pod's cgroup
   */
  capture(record: PodRecord, nowMs: number): boolean {
    const {cookie} = record
    if (cookie === null) return false
    this.prepare(record, nowMs)
    record.captured = this.marks.has(record)
    this.state.save()
    const isNew = !record.captured
    if (!this.marks.hasWanted(record)) this.marks.put(record, cookie)
    record.captured = true
    this.#dropOther(record, cookie)
    if (isNew)
      this.#parts.log.info(`enrolled pod ${nameOf(record)}`, {rule: record.rule, ...this.#markOf(cookie)})
    return isNew
  }

  /** The state file still has to be saved. @returns false where the kernel did not have it @throws KernelError */
  release(record: PodRecord, nowMs: number): boolean {
    const {cookie, uid, rule} = record
    const isByCookie = cookie !== null && this.#takeCookie(cookie, record)
    const isByClass = this.#takeClass(uid)
    if (isByCookie || isByClass)
      this.#parts.log.info(`released pod ${nameOf(record)}`, {rule, ...this.#markOf(cookie)})
    note(record, record.intent, this.marks.has(record), nowMs)
    this.state.enrolled.delete(uid)
    return isByCookie || isByClass
  }

  /** The sandbox is taken down, the pod may get another one. @throws KernelError, KmeshError of the state directory */
  detach(record: PodRecord): void {
    this.release(record, this.#parts.clock.nowMs())
    this.state.save()
    record.goneCookie = record.cookie
    record.cookie = null
    record.netnsPath = null
    note(record, record.intent, false, this.#parts.clock.nowMs())
  }

  /** What an earlier agent enrolled and the node no longer has. @throws KernelError */
  releaseGone(): void {
    for (const uid of this.state.decisions.keys())
      if (!this.#records.has(uid)) this.state.decisions.delete(uid)
    for (const uid of this.state.enrolled.keys()) {
      const kept = this.state.enrolled.get(uid)
      if (kept === undefined || this.#records.has(uid)) continue
      this.#forget(uid)
      this.#parts.log.info(`released pod ${kept.namespace}/${kept.pod}, which is gone`, {cookie: kept.cookie})
    }
  }

  /** A sandbox of a pod that is in the state file only: its agent was away. @throws KernelError */
  forgetKept(uid: string): void {
    this.#forget(uid)
    this.state.save()
  }

  #forget(uid: string): void {
    const kept = this.state.enrolled.get(uid)
    if (kept === undefined) return
    const isShared = this.state.enrolled
      .keys()
      .some((other) => other !== uid && this.state.enrolled.get(other)?.cookie === kept.cookie)
    if (!isShared) this.marks.cookies.remove(kept.cookie)
    this.#takeClass(uid)
    this.state.enrolled.delete(uid)
  }

  /** The mark of another identity option, after the wanted one is there: no connect falls between. */
  #dropOther(record: PodRecord, cookie: string): void {
    const {uid} = record
    if (this.#parts.identity === 'classid') {
      this.marks.cookies.remove(cookie)
      return
    }
    const kept = this.state.enrolled.get(uid)
    if (kept?.classUid === undefined) return
    this.marks.takeClass(kept.classUid)
    const {classUid: _, ...left} = kept
    this.state.enrolled.set(uid, left)
    this.state.save()
  }

  /** Only where we may have put it, or the pods of this node are known by it. */
  #takeClass(uid: string): boolean {
    const record = this.#records.get(uid)
    const isWanted = this.#parts.identity === 'classid' && record !== undefined
    const ofCgroup = this.state.enrolled.get(uid)?.classUid ?? (isWanted ? kubeletUid(record.pod) : undefined)
    return ofCgroup !== undefined && this.marks.takeClass(ofCgroup)
  }

  /** False where it was not there, or another pod of the same namespace needs it. */
  #takeCookie(cookie: string, record: PodRecord): boolean {
    for (const other of this.#records.values())
      if (other !== record && other.intent && other.cookie === cookie) return false
    return this.marks.cookies.remove(cookie)
  }

  #markOf(cookie: string | null): {readonly cookie?: string | null; readonly classid?: string} {
    return this.#parts.identity === 'netns' ? {cookie} : {classid: `0x${KMESH_CLASSID.toString(16)}`}
  }
}
