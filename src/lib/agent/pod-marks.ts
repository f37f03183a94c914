// SPDX-License-Identifier: Apache-2.0
/**
 * Marks that tell the BPF programs that a pod is enrolled: its cookie in km_manage, or the class of its cgroups.
 * The programs accept either; which one is put is the agent's identity option.
 */
import {KmeshError} from '../errors.ts'
import type {EnrollParts} from './enroll-parts.ts'
import {ManagedCookies} from './managed.ts'
import {kubeletUid, type PodRecord} from './pod-record.ts'

/** The programs compare with it: KM_CLASSID of bpf/include/kmesh_manage.h. */
export const KMESH_CLASSID = 0x1000

type Pair = Pick<PodRecord, 'cookie' | 'pod'>

export class PodMarks {
  readonly cookies: ManagedCookies
  readonly #parts: EnrollParts

  /** @throws KmeshError `NoNetCls` */
  constructor(parts: EnrollParts) {
    this.#parts = parts
    if (parts.identity === 'classid') parts.classes.requireAvailable()
    this.cookies = new ManagedCookies(parts.manage)
  }

  /** The kernel's word, by either mark. @throws KernelError, KmeshError `Classid` */
  has(record: Pair): boolean {
    return (record.cookie !== null && this.cookies.has(record.cookie)) || this.#hasClass(record)
  }

  /** The mark of the identity option. @throws KernelError, KmeshError `Classid` */
  hasWanted(record: Pair): boolean {
    if (this.#parts.identity === 'classid') return this.#hasClass(record)
    return record.cookie !== null && this.cookies.has(record.cookie)
  }

  /** @param cookie - of the record. @throws KernelError, KmeshError `NoPodCgroup`, `ForeignClassid`, `Classid` */
  put({pod}: Pair, cookie: string): void {
    const {identity, classes} = this.#parts
    if (identity === 'netns') this.cookies.add(cookie)
    else if (!classes.put(kubeletUid(pod), KMESH_CLASSID))
      throw new KmeshError('it has no cgroup of net_cls', {code: 'NoPodCgroup'})
  }

  /** Class of the pod's cgroup; null where the identity is another one, or there is no cgroup. */
  classOf({pod}: Pair): number | null {
    if (this.#parts.identity !== 'classid') return null
    return this.#parts.classes.get(kubeletUid(pod)) ?? null
  }

  /** False where no cgroup of the pod had ours. @throws KmeshError `Classid` */
  takeClass(uid: string): boolean {
    return this.#parts.classes.take(uid, KMESH_CLASSID)
  }

  #hasClass(record: Pair): boolean {
    return this.classOf(record) === KMESH_CLASSID
  }
}
