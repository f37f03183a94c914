// SPDX-License-Identifier: Apache-2.0
/** Repeats a readiness probe for as long as a container runs. */
import type {Probe} from '../../model/kube.ts'
import type {Clock} from '../../ports.ts'

/** Until the first success probes come faster than the period, so that starting is not slowed by it. */
const FIRST_GAP_MS = 100
const GAP_GROWTH = 1.5

export interface Readiness {
  readonly ready: boolean
  /** Why not, else ''. */
  readonly message: string
}

/**
 * @param attempt one probe: undefined when it passed, else why not
 * @param onResult told after each probe
 */
export async function watchReadiness(
  probe: Probe,
  attempt: () => Promise<string | undefined>,
  onResult: (readiness: Readiness) => void,
  clock: Clock,
  ended: AbortSignal,
): Promise<void> {
  const periodMs = (probe.periodSeconds ?? 10) * 1000
  const sleep = (delayMs: number): Promise<void> => clock.sleep(delayMs, ended).catch(() => {})
  const judge = judgeOf(probe)
  let gapMs = Math.min(FIRST_GAP_MS, periodMs)
  await sleep((probe.initialDelaySeconds ?? 0) * 1000)
  while (!ended.aborted) {
    const problem = await attempt()
    if (ended.aborted) return
    const readiness = judge(problem)
    onResult(readiness)
    gapMs = readiness.ready ? periodMs : Math.min(gapMs * GAP_GROWTH, periodMs)
    await sleep(gapMs)
  }
}

/**
 * @param attempt one probe: undefined when it passed, else why not
 * @returns undefined when it passed or `ended`; else the last failure, after `failureThreshold` of them in a row
 */
export async function waitForStartup(
  probe: Probe,
  attempt: () => Promise<string | undefined>,
  clock: Clock,
  ended: AbortSignal,
): Promise<string | undefined> {
  const periodMs = (probe.periodSeconds ?? 10) * 1000
  const sleep = (delayMs: number): Promise<void> => clock.sleep(delayMs, ended).catch(() => {})
  await sleep((probe.initialDelaySeconds ?? 0) * 1000)
  let failures = 0
  let failureMs = periodMs
  for (let gapMs = Math.min(FIRST_GAP_MS, periodMs); !ended.aborted; gapMs *= GAP_GROWTH) {
    const problem = await attempt()
    if (problem === undefined) return undefined
    // The extra, early probes do not count.
    if (failureMs >= periodMs) {
      failures += 1
      failureMs = 0
    }
    if (failures >= (probe.failureThreshold ?? 3)) return problem
    const waitMs = Math.min(gapMs, periodMs)
    failureMs += waitMs
    await sleep(waitMs)
  }
  return undefined
}

/** Counts against `successThreshold` and `failureThreshold`. */
export function judgeOf(probe: Probe): (problem: string | undefined) => Readiness {
  let current: Readiness = {ready: false, message: 'not probed yet'}
  let failures = 0
  let successes = 0
  return (problem) => {
    if (problem === undefined) {
      failures = 0
      successes += 1
      if (successes >= (probe.successThreshold ?? 1)) current = {ready: true, message: ''}
      return current
    }
    successes = 0
    failures += 1
    if (!current.ready || failures >= (probe.failureThreshold ?? 3))
      current = {ready: false, message: problem}
    return current
  }
}
