// SPDX-License-Identifier: Apache-2.0
/** What the daemon of the client's node tells: does the kernel have the client, and what for one destination. */
import {messageOf, UnreachableError} from '../errors.ts'
import type {EnrollmentEntry} from '../model/api.ts'
import {isAnnotatedCaptured} from '../model/enrollment.ts'
import type {Pod} from '../model/kube.ts'
import type {ManagedFacts, PathInput} from '../model/path.ts'
import type {NodeFacts} from '../model/plan-node.ts'
import type {Admin} from '../ports.ts'
import {isManaged, readTables} from './path-tables.ts'

/** net_cls class of captured pods where they are known by that; KM_CLASSID of the programs. */
const KMESH_CLASSID = 0x1000

export interface KernelContext {
  readonly pod: Pod
  readonly node: string
  readonly facts: NodeFacts | undefined
  /** Undefined: the daemon did not answer, or there is none. */
  readonly admin: Admin | undefined
  readonly signal: AbortSignal
}

export type Intent = Pick<ManagedFacts, 'intent' | 'rule'>

export interface KernelView extends Pick<PathInput, 'managed' | 'tables' | 'unreadable' | 'names'> {
  /** What went wrong while it was read. */
  readonly error?: unknown
}

/** Never throws but when the signal is aborted: what is not known says why. */
export async function kernelOf(context: KernelContext, address: string, intent: Intent): Promise<KernelView> {
  const {pod, node, facts, admin, signal} = context
  if (pod.spec?.hostNetwork === true) return view({...intent, captured: false, kernel: null, note: null})
  if (facts === undefined || facts.daemon === 'absent') {
    const error = new UnreachableError('find', `there is no daemon on node ${node}`, {code: 'NoDaemonOnNode'})
    return unknown(intent, error.message, error)
  }
  if (admin === undefined) return unknown(intent, `the daemon of node ${node} did not answer`)
  if (facts.enrollment === null) return ofGoDaemon(pod, intent)
  if (facts.backend === 'memory') {
    return view({
      ...intent,
      captured: false,
      kernel: null,
      note: 'the maps of this node are in memory, no kernel has them',
    })
  }
  try {
    const managed = await managedNow(admin, facts.enrollment.get(pod.metadata.uid ?? ''), intent, signal)
    if (managed.captured === false) return view(managed)
    const {tables, names} = await readTables(admin, address, signal)
    return {managed, tables, unreadable: null, names}
  } catch (error) {
    signal.throwIfAborted()
    return unknown(intent, messageOf(error), error)
  }
}

/** The map is the truth: what the agent says of it may be a moment old. */
async function managedNow(
  admin: Admin,
  entry: EnrollmentEntry | undefined,
  intent: Intent,
  signal: AbortSignal,
): Promise<ManagedFacts> {
  if (entry?.classid === KMESH_CLASSID) {
    return {...intent, captured: true, kernel: `net_cls class 0x${KMESH_CLASSID.toString(16)}`, note: null}
  }
  const cookie = entry?.cookie ?? null
  if (cookie === null) {
    const note =
      entry === undefined
        ? 'the agent does not know this pod'
        : "the agent has not found the pod's network namespace"
    return {...intent, captured: null, kernel: null, note}
  }
  const captured = await isManaged(admin, cookie, signal)
  const kernel = captured ? `cookie ${cookie} in km_manage` : `cookie ${cookie} not in km_manage`
  return {...intent, captured, kernel, note: null}
}

/** Values without keys cannot be followed: who is captured is told by the annotation, the rest by nobody. */
function ofGoDaemon(pod: Pod, intent: Intent): KernelView {
  const captured = isAnnotatedCaptured(pod.metadata.annotations)
  const note = `this daemon does not tell whom it has captured; annotation: ${captured ? 'captured' : 'not captured'}`
  return {
    ...view({...intent, captured, kernel: null, note}),
    unreadable: 'this daemon tells values without keys (Go daemons do)',
  }
}

function view(managed: ManagedFacts): KernelView {
  return {managed, tables: undefined, unreadable: null, names: {}}
}

function unknown(intent: Intent, why: string, error?: unknown): KernelView {
  const managed = {...intent, captured: null, kernel: null, note: why}
  const more = error === undefined ? {} : {error}
  return {...view(managed), unreadable: why, ...more}
}
