// SPDX-License-Identifier: Apache-2.0
/**
 * Pods in and out of the kernel, with what must be on disk before and after. Pods that share a network namespace
 * share its cookie: it stays while one of them wants it.
 */
import type {EnrollParts} from './enroll-parts.ts'
import {EnrollState} from './enroll-state.ts'
import {ManagedCookies} from './managed.ts'
import {nameOf, note, type PodRecord} from './pod-record.ts'

export class PodCapture {
  readonly state: EnrollState
  readonly #parts: EnrollParts
  readonly #managed: ManagedCookies
  readonly #records: ReadonlyMap<string, PodRecord>

  /** @param records - every pod of the node, by uid; the caller keeps it */
  constructor(parts: EnrollParts, records: ReadonlyMap<string, PodRecord>) {
    this.#parts = parts
    this.#records = records
    this.#managed = new ManagedCookies(parts.manage)
    this.state = new EnrollState(parts.files, parts.log)
    if (!parts.adopted) this.state.enrolled.clear()
  }

  /** The kernel's word. @throws KernelError */
  isCaptured({cookie}: PodRecord): boolean {
    return cookie !== null && this.#managed.has(cookie)
  }

  /**
   * Takes what the pod's namespace is now. A new one means a new sandbox: the old cookie names nothing any more.
   * @throws KernelError, then the record is as before
   */
  identify(record: PodRecord, cookie: string, netnsPath: string | null): void {
    const old = record.cookie
    if (old !== null && old !== cookie) {
      this.#takeOut(old, record)
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
    if (!record.captured || !this.#managed.has(cookie)) record.sinceMs = nowMs
    const {namespace = '', name = ''} = pod.metadata
    const path = netnsPath === null ? {} : {netnsPath}
    this.state.enrolled.set(uid, {namespace, pod: name, cookie, ...path, sinceMs: record.sinceMs})
  }

  /**
   * On disk, then in the kernel.
   * @returns false where the kernel had it, or the pod's namespace is not known yet
   * @throws KernelError, KmeshError of the state directory
   */
  capture(record: PodRecord, nowMs: number): boolean {
    const {cookie} = record
    if (cookie === null) return false
    this.prepare(record, nowMs)
    record.captured = this.#managed.has(cookie)
    this.state.save()
    if (record.captured) return false
    this.#managed.add(cookie)
    record.captured = true
    this.#parts.log.info(`enrolled pod ${nameOf(record)}`, {rule: record.rule, cookie})
    return true
  }

  /** The state file still has to be saved. @returns false where the kernel did not have it @throws KernelError */
  release(record: PodRecord, nowMs: number): boolean {
    const {cookie, uid, rule} = record
    const wasThere = cookie !== null && this.#takeOut(cookie, record)
    if (wasThere) this.#parts.log.info(`released pod ${nameOf(record)}`, {rule, cookie})
    note(record, record.intent, this.isCaptured(record), nowMs)
    this.state.enrolled.delete(uid)
    return wasThere
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
    for (const {cookie, namespace, pod} of this.state.takeGone((uid) => this.#records.has(uid))) {
      if (this.#isShared(cookie)) continue
      this.#managed.remove(cookie)
      this.#parts.log.info(`released pod ${namespace}/${pod}, which is gone`, {cookie})
    }
  }

  /** A sandbox of a pod that is in the state file only: its agent was away. @throws KernelError */
  forgetKept(uid: string): void {
    const kept = this.state.enrolled.get(uid)
    if (kept === undefined) return
    this.state.enrolled.delete(uid)
    if (!this.#isShared(kept.cookie)) this.#managed.remove(kept.cookie)
    this.state.save()
  }

  /** False where it was not there, or another pod of the same namespace needs it. */
  #takeOut(cookie: string, record: PodRecord): boolean {
    for (const other of this.#records.values())
      if (other !== record && other.intent && other.cookie === cookie) return false
    return this.#managed.remove(cookie)
  }

  #isShared(cookie: string): boolean {
    return [...this.state.enrolled.values()].some((enrolled) => enrolled.cookie === cookie)
  }
}
