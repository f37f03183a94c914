// SPDX-License-Identifier: Apache-2.0
/** May the caller do what is about to be done? Asked before the first write. */
import {DeniedError, KubeStatusError} from '../errors.ts'
import type {KubeObject} from '../model/kube.ts'
import type {Kube} from '../ports.ts'
import {mapConcurrent} from './enroll-concurrent.ts'

export interface Need {
  readonly verbs: readonly string[]
  readonly group: string
  readonly resource: string
  /** Undefined: in the whole cluster. */
  readonly namespace?: string | undefined
}

const REVIEWS = {group: 'authorization.k8s.io', version: 'v1', resource: 'selfsubjectaccessreviews'} as const
const CONCURRENCY = 8

interface Review extends KubeObject {
  readonly spec?: object
  readonly status?: {readonly allowed?: boolean}
}

/**
 * @throws DeniedError that names every rule that is missing. Where the server does not answer such questions, the
 *   writes themselves will tell.
 */
export async function checkAccess(kube: Kube, needs: readonly Need[], signal: AbortSignal): Promise<void> {
  const missing = new Map<Need, string[]>()
  const questions = needs.flatMap((need) => need.verbs.map((verb) => ({need, verb})))
  await mapConcurrent(questions, CONCURRENCY, async ({need, verb}) => {
    if (await isAllowed(kube, need, verb, signal)) return
    missing.set(need, [...(missing.get(need) ?? []), verb])
  })
  if (missing.size === 0) return
  const lines = needs.flatMap((need) => {
    const verbs = missing.get(need)
    return verbs === undefined
      ? []
      : [
          ruleText(
            need,
            need.verbs.filter((verb) => verbs.includes(verb)),
          ),
        ]
  })
  throw new DeniedError(403, 'Forbidden', `not permitted: ${lines.map((line) => line.what).join('; ')}`, {
    hints: [['these rules are missing:', ...lines.map((line) => line.rule)].join('\n')],
  })
}

async function isAllowed(
  kube: Kube,
  {group, resource, namespace}: Need,
  verb: string,
  signal: AbortSignal,
): Promise<boolean> {
  const resourceAttributes = {verb, group, resource, ...(namespace === undefined ? {} : {namespace})}
  const review: Review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    metadata: {},
    spec: {resourceAttributes},
  }
  try {
    return (await kube.create<Review>(REVIEWS, review, {signal})).status?.allowed === true
  } catch (error) {
    const isUnanswered = error instanceof KubeStatusError && (error.status === 403 || error.status === 404)
    if (isUnanswered) return true
    throw error
  }
}

function ruleText({group, resource, namespace}: Need, verbs: readonly string[]) {
  const qualified = group === '' ? resource : `${resource}.${group}`
  const where = namespace === undefined ? 'in the whole cluster' : `in namespace ${namespace}`
  const quoted = verbs.map((verb) => `"${verb}"`).join(', ')
  return {
    what: `${verbs.join(', ')} ${qualified} ${where}`,
    rule: `- apiGroups: ["${group}"], resources: ["${resource}"], verbs: [${quoted}] (${where})`,
  }
}
