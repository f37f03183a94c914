// SPDX-License-Identifier: Apache-2.0
/** The cluster as `interop check` judges it: captures, services and their endpoints, Istio's policies. */
import {type ClusterServers, checkedPods} from '../model/check-cluster.ts'
import type {IstioPolicies} from '../model/client-tls.ts'
import {SERVICE_FIELDS, SLICE_FIELDS} from '../model/interop-fields.ts'
import {DEFAULT_MESH} from '../model/istio-policy.ts'
import {type EndpointSlice, type Pod, RESOURCES, type Service} from '../model/kube.ts'
import type {ReportError, ReportWarning} from '../model/report.ts'
import {REVISION_LABEL} from '../model/sidecar.ts'
import {type InteropDeps, type InteropRequest, readFacts, readNamespaces, readPods} from './interop.ts'
import {readPolicies} from './istio-policies.ts'

export interface CheckCluster {
  readonly cluster: ClusterServers
  /** Those that were asked for, as the API server has them. */
  readonly named: readonly Pod[]
  readonly policies: IstioPolicies | undefined
  /** Daemons that do not answer. */
  readonly errors: readonly ReportError[]
  readonly warnings: readonly ReportWarning[]
}

/**
 * Pods first: what is kept of them is made before anything else is read, so that never both are in memory.
 *
 * @param isNamed - pods that come back whole
 * @throws DeniedError, UnreachableError
 */
export async function readCheckCluster(
  deps: InteropDeps,
  request: Pick<InteropRequest, 'findDaemons' | 'concurrency'>,
  isNamed: (pod: Pod) => boolean = () => false,
): Promise<CheckCluster> {
  const {kube, signal} = deps
  const {pods, named, errors, hasRevisions} = await readChecked(deps, request, isNamed)
  const [services, slices, {policies, warnings}] = await Promise.all([
    kube.list<Service>(RESOURCES.services, {signal, fields: SERVICE_FIELDS}),
    kube.list<EndpointSlice>(RESOURCES.endpointslices, {signal, fields: SLICE_FIELDS}),
    readPolicies(kube, signal, hasRevisions),
  ])
  const {clusterDomain} = policies?.mesh ?? DEFAULT_MESH
  const cluster = {pods, services: services.items, slices: slices.items, clusterDomain}
  return {cluster, named, policies, errors, warnings}
}

async function readChecked(
  deps: InteropDeps,
  request: Pick<InteropRequest, 'findDaemons' | 'concurrency'>,
  isNamed: (pod: Pod) => boolean,
): Promise<
  Pick<CheckCluster, 'named' | 'errors'> & Pick<ClusterServers, 'pods'> & {readonly hasRevisions: boolean}
> {
  const live = await readPods(deps, undefined)
  const {byNode, errors} = await readFacts(deps, request, live)
  const namespaces = await readNamespaces(deps, undefined)
  const labels = new Map(namespaces.map(({metadata}) => [metadata.name ?? '', metadata.labels]))
  const hasRevisions = [...labels.values()].some((own) => own?.[REVISION_LABEL] !== undefined)
  return {pods: checkedPods(live, byNode, labels), named: live.filter(isNamed), errors, hasRevisions}
}
