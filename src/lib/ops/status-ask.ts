// SPDX-License-Identifier: Apache-2.0
/** What `status` asks one daemon. */
import {DeniedError} from '../errors.ts'
import {LOGGER_BPF, LOGGER_DEFAULT, type ReadyReply} from '../model/api.ts'
import {backendOf} from '../model/backend.ts'
import {type Dialect, shownVersion} from '../model/dialect.ts'
import {isAnnotatedCaptured} from '../model/enrollment.ts'
import {type Pod, RESOURCES} from '../model/kube.ts'
import {normalLevel} from '../model/log-level.ts'
import {reportErrorOf} from '../model/report.ts'
import type {StatusItem, StatusProblem} from '../model/status.ts'
import type {Admin} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import type {FoundDaemon} from './daemons.ts'
import {readDialect, readMode} from './dialect.ts'
import {knownLoggers, readLogger} from './log-daemon.ts'

export interface DaemonStatus extends Omit<StatusItem, 'node' | 'daemon'> {
  readonly podsDenied: boolean
}

/** A question that fails becomes a problem; the others still count. @throws when the first one fails. */
export async function askStatus(
  access: DaemonAccess,
  admin: Admin,
  daemon: FoundDaemon,
): Promise<DaemonStatus> {
  const {signal} = access
  const dialect = await readDialect(admin, signal)
  const problems: StatusProblem[] = []
  const attempt = async <T>(question: Promise<T>): Promise<T | null> => {
    try {
      return await question
    } catch (error) {
      signal.throwIfAborted()
      const {code, message, phase} = reportErrorOf(error)
      problems.push({code, message, phase})
      return null
    }
  }
  const mode = await attempt(readMode(admin, dialect, signal))
  const ready = await attempt(admin.call('ready', {}, {signal}))
  const known = (await attempt(knownLoggers(admin, dialect, signal))) ?? []
  const level = async (name: string): Promise<string | null> => {
    const reply = known.includes(name) ? await attempt(readLogger(admin, dialect, name, signal)) : null
    return reply === null ? null : normalLevel(reply.level)
  }
  const levels = {default: await level(LOGGER_DEFAULT), bpf: await level(LOGGER_BPF)}
  const pods = await attempt(countPods(access, admin, daemon, dialect))
  problems.unshift(...readyProblems(daemon, ready))
  return {
    mode,
    backend: backendOf(dialect.version),
    version: shownVersion(dialect),
    ...readiness(daemon, dialect, ready),
    enrolledPods: pods?.enrolled ?? null,
    totalPods: pods?.total ?? null,
    levels,
    problems,
    podsDenied: pods?.denied === true,
  }
}

interface PodCount {
  readonly enrolled: number | null
  readonly total: number | null
  readonly denied?: boolean
}

/** From the kernel where the daemon tells it, else from the annotations that daemons write. */
async function countPods(
  access: DaemonAccess,
  admin: Admin,
  {target}: FoundDaemon,
  dialect: Dialect,
): Promise<PodCount> {
  const {signal, kube} = access
  if (dialect.capabilities.includes('enrollment')) {
    const entries = await admin.call('enrollment', {}, {signal})
    return {enrolled: entries.filter(({captured}) => captured).length, total: entries.length}
  }
  if (kube === undefined) return {enrolled: null, total: null}
  try {
    const fieldSelector = `spec.nodeName=${target.node}`
    const {items} = await kube.list<Pod>(RESOURCES.pods, {fieldSelector, metadataOnly: true, signal})
    const enrolled = items.filter(({metadata}) => isAnnotatedCaptured(metadata.annotations)).length
    return {enrolled, total: items.length}
  } catch (error) {
    if (error instanceof DeniedError && error.status === 403)
      return {enrolled: null, total: null, denied: true}
    throw error
  }
}

/** `/debug/ready` of a Go daemon is always OK (contracts 1.9, A10): then only the pod's own state counts. */
function readiness(
  daemon: FoundDaemon,
  dialect: Dialect,
  reply: ReadyReply | null,
): Pick<StatusItem, 'ready' | 'readyFrom'> {
  if (reply === null) return {ready: null, readyFrom: null}
  const isTold = dialect.name === 'own' || reply.checks.length > 0 || !reply.ready
  if (isTold) return {ready: reply.ready && daemon.ready, readyFrom: 'daemon'}
  return daemon.podObject === null ? {ready: null, readyFrom: null} : {ready: daemon.ready, readyFrom: 'pod'}
}

function readyProblems(daemon: FoundDaemon, ready: ReadyReply | null): StatusProblem[] {
  const failed = ready?.checks.filter(({ok}) => !ok) ?? []
  const checks = failed.map(({name, message}) => ({
    code: 'DaemonNotReady',
    message: `${name}: ${message}`,
    phase: null,
  }))
  if (checks.length > 0) return checks
  if (ready !== null && !ready.ready) {
    return [{code: 'DaemonNotReady', message: 'the daemon says it is not ready', phase: null}]
  }
  return daemon.ready ? [] : [{code: 'DaemonNotReady', message: 'its pod is not Ready', phase: null}]
}
