// SPDX-License-Identifier: Apache-2.0
/** ADD and CHECK of a pod: ask the agent, wait for it a while, then let the policy decide. */
import type {CniPodRequest} from '../model/cni.ts'
import type {Log} from '../ports.ts'
import {askForPod, type Reply} from './agent.ts'
import type {Config} from './config.ts'
import {judge, type Verdict} from './judge.ts'
import type {CniParts} from './parts.ts'
import {CniError, CODE} from './protocol.ts'

const RETRY_MS = 200

export interface PodTask {
  readonly action: 'add' | 'check'
  readonly request: CniPodRequest
  readonly config: Config
  readonly parts: CniParts
  readonly log: Log
}

/**
 * Returns when the kernel has the pod, need not have it, or the policy lets it go.
 * @throws CniError for a pod that would be enrolled and is not
 */
export async function settlePod(task: PodTask): Promise<void> {
  const {clock} = task.parts
  const endMs = clock.monotonicMs() + task.config.timeoutMs
  let verdict: Verdict | undefined
  for (let attempt = 1; ; attempt += 1) {
    const reply = await askForPod(
      task.action,
      task.request,
      task.config,
      task.parts,
      endMs - clock.monotonicMs(),
    )
    if (reply.kind === 'done') return logDone(task, reply.reply.enrolled, reply.reply.rule)
    verdict ??= await judge(task.request, task.config, task.parts, task.log)
    // Nobody waits for an agent that would have nothing to do.
    if (verdict.enroll === false) return logSkipped(task, reply, verdict)
    if (reply.kind === 'refused' || clock.monotonicMs() + RETRY_MS >= endMs) {
      return applyPolicy(task, reply, verdict, attempt)
    }
    await clock.sleep(RETRY_MS)
  }
}

/** What the runtime named is not there: that is no failure of the agent. */
const NOT_THERE = ['BadRequest', 'BadNetns', 'NodeNamespace']

function logDone({action, log}: PodTask, enrolled: boolean, rule: string): void {
  const what = {add: enrolled ? 'enrolled' : 'not enrolled', check: 'as it should be'}[action]
  log.info(what, {rule})
}

function logSkipped({log}: PodTask, reply: Exclude<Reply, {kind: 'done'}>, {source}: Verdict): void {
  log.info(`not enrolled, as ${source} says; the agent did not: ${reply.message}`)
}

function applyPolicy(
  {action, config, log}: PodTask,
  reply: Exclude<Reply, {kind: 'done'}>,
  {enroll, source}: Verdict,
  attempts: number,
): void {
  const asked = `${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`
  if (config.failurePolicy === 'ignore') {
    log.warn(`failurePolicy ignore: the pod goes on without the agent's word (${asked}): ${reply.message}`)
    return
  }
  if (enroll === undefined) {
    log.warn(`nobody can tell whether the pod is to be enrolled, it goes on (${asked}): ${reply.message}`)
    return
  }
  const details = `asked at ${config.socket}, ${asked}; it is to be enrolled: ${source} says so`
  if (reply.kind === 'away') {
    throw new CniError(CODE.tryLater, `the agent of the mesh is away: ${reply.message}`, details)
  }
  const ours = action === 'add' ? CODE.enrollment : CODE.notEnrolled
  const code = NOT_THERE.includes(reply.code) ? CODE.environment : ours
  const what = action === 'add' ? 'cannot enroll the pod' : 'the pod is not as it should be'
  throw new CniError(code, `${what}: ${reply.message} (${reply.code})`, details)
}
