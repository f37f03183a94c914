// SPDX-License-Identifier: Apache-2.0
/** The job of `interop check`: which pairs of clients and services work, fail, or depend on the endpoint. */
import {KmeshError} from '../errors.ts'
import type {DaemonTarget} from '../model/api.ts'
import {isSubject, portsFor, portsOf} from '../model/check-cluster.ts'
import type {CheckSubject} from '../model/check-subject.ts'
import {
  type CheckedPod,
  type CheckedPort,
  type CheckItem,
  type CheckVerdict,
  checkPairs,
  VERDICTS,
} from '../model/interop-check.ts'
import {objectKey, type Pod} from '../model/kube.ts'
import {compareText, type Report, type ReportWarning} from '../model/report.ts'
import {readCheckCluster} from './check-read.ts'
import type {InteropDeps} from './interop.ts'

export interface CheckRequest {
  /** Undefined: every pod of `namespace`. */
  readonly client: CheckSubject | undefined
  /** Undefined: every service. */
  readonly server: CheckSubject | undefined
  /** Of the clients; undefined: all. */
  readonly namespace: string | undefined
  /** Verdicts that are listed; the sums count all of them. */
  readonly show: 'all' | 'findings'
  readonly findDaemons: () => Promise<readonly DaemonTarget[]>
  readonly concurrency: number
}

/**
 * Daemons that do not answer are listed and change no exit status: what they would have told makes verdicts
 * unknown. `summary.verdicts` counts every pair, listed or not.
 *
 * @throws KmeshError `NotFound` for a client or server that is not there; DeniedError, UnreachableError
 */
export async function interopCheck(deps: InteropDeps, request: CheckRequest): Promise<Report<CheckItem>> {
  const {server} = request
  const isServer = (pod: Pod): boolean =>
    server?.kind === 'pod' && objectKey(pod) === `${server.namespace}/${server.name}`
  const {cluster, named, policies, errors, warnings} = await readCheckCluster(deps, request, isServer)
  const checked = cluster.pods
  const all = portsOf(cluster)
  const ports = server === undefined ? all : portsFor(server, all, named, checked)
  const clients = clientsOf([...checked.values()], request)
  requireSome(request, clients, ports)
  const isListed = (verdict: CheckVerdict): boolean => request.show === 'all' || verdict !== 'works'
  const {verdicts, items} = checkPairs(clients, ports, policies, isListed)
  const empty = ports.filter(({endpoints}) => endpoints.length === 0)
  const requested = Object.values(verdicts).reduce((sum, number) => sum + number, 0)
  return {
    kind: 'InteropCheck',
    summary: {requested, ok: requested, failed: 0, skipped: empty.length, verdicts, listed: items.length},
    items,
    errors,
    warnings: [...warnings, ...emptyWarnings(empty)],
  }
}

/** Is there a verdict as bad as this one, or worse? */
export function hasFindings(report: Report<CheckItem>, failOn: CheckVerdict | 'never'): boolean {
  if (failOn === 'never') return false
  const counts = report.summary['verdicts'] as Readonly<Record<CheckVerdict, number>>
  return VERDICTS.slice(VERDICTS.indexOf(failOn)).some((verdict) => counts[verdict] > 0)
}

function clientsOf(pods: readonly CheckedPod[], {client, namespace}: CheckRequest): readonly CheckedPod[] {
  if (client !== undefined) return pods.filter((pod) => isSubject(pod, client))
  return namespace === undefined ? pods : pods.filter((pod) => pod.namespace === namespace)
}

function requireSome(
  {client, server}: CheckRequest,
  clients: readonly CheckedPod[],
  ports: readonly CheckedPort[],
): void {
  if (client !== undefined && clients.length === 0) throw notFound('client', client, 'running pod')
  if (server !== undefined && ports.length === 0) throw notFound('server', server, 'TCP port that is served')
}

function notFound(side: string, {kind, namespace, name}: CheckSubject, what: string): KmeshError {
  const subject = kind === 'namespace' ? namespace : `${namespace}/${name}`
  return new KmeshError(`${side}: ${kind} ${subject} has no ${what}`, {code: 'NotFound'})
}

const SHOWN = 5

/** A service without endpoints refuses everybody, whoever has the traffic. */
function emptyWarnings(ports: readonly CheckedPort[]): ReportWarning[] {
  if (ports.length === 0) return []
  const names = ports.map(({namespace, name, port}) => `${namespace}/${name}:${port}`).sort(compareText)
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : ''
  const message = `no ready endpoint, not judged: ${names.slice(0, SHOWN).join(', ')}${more}`
  return [{code: 'NoEndpoints', message}]
}
