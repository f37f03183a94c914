// SPDX-License-Identifier: Apache-2.0
/** What a plan of `enroll` changes for connections, from the whole cluster as it is now. */
import {DeniedError, messageOf} from '../errors.ts'
import type {Plan} from '../model/plan.ts'
import {type InteropChange, planInterop} from '../model/plan-interop.ts'
import type {ReportError, ReportWarning} from '../model/report.ts'
import {readCheckCluster} from './check-read.ts'
import type {EnrollRequest} from './enroll.ts'
import type {InteropDeps} from './interop.ts'

export interface FoundChange {
  /** Null: not known, see the warnings. */
  readonly interop: InteropChange | null
  readonly warnings: readonly ReportWarning[]
}

const NOTHING: InteropChange = {judged: 0, breaks: 0, changes: []}

/** What may not be read makes the answer unknown and stops nobody. @throws what is neither denied nor missing */
export async function interopChange(
  deps: InteropDeps,
  plan: Plan,
  request: Pick<EnrollRequest, 'findDaemons' | 'concurrency'>,
): Promise<FoundChange> {
  if (!plan.pods.some(({follow}) => follow)) return {interop: NOTHING, warnings: []}
  try {
    return await judge(deps, plan, request)
  } catch (error) {
    if (!(error instanceof DeniedError)) throw error
    const message = `${messageOf(error)}: what this changes for connections is not known`
    return {interop: null, warnings: [{code: 'InteropUnknown', message}]}
  }
}

async function judge(
  deps: InteropDeps,
  plan: Plan,
  request: Pick<EnrollRequest, 'findDaemons' | 'concurrency'>,
): Promise<FoundChange> {
  const {cluster, policies, errors, warnings} = await readCheckCluster(deps, request)
  const interop = planInterop(cluster, plan.pods, policies)
  return {interop, warnings: [...warnings, ...errors.map(partly)]}
}

/** Pairs with the pods of that node are unknown, so none of them counts as broken. */
function partly({node, message}: ReportError): ReportWarning {
  const what = 'what this changes for connections of its pods is not known'
  return {code: 'InteropPartial', message: `${node ?? 'daemons'}: ${message}: ${what}`}
}
