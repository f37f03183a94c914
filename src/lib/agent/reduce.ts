// SPDX-License-Identifier: Apache-2.0
/** Objects reduced to what the agent uses: a cluster's worth of them is kept. */
import type {EndpointSlice, Namespace, NodeObject, ObjectMeta, Pod, Service} from '../model/kube.ts'

function reduceMeta(metadata: ObjectMeta, used: Partial<ObjectMeta>): ObjectMeta {
  const {name, namespace, uid, resourceVersion} = metadata
  return withoutUndefined({name, namespace, uid, resourceVersion, ...used}) as ObjectMeta
}

function withoutUndefined<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T
}

function pick(
  values: Readonly<Record<string, string>> | undefined,
  isUsed: (name: string) => boolean,
): Record<string, string> | undefined {
  const used = Object.entries(values ?? {}).filter(([name]) => isUsed(name))
  return used.length > 0 ? Object.fromEntries(used) : undefined
}

const USED_NAMES =
  /istio\.io\/|^istio-injection$|^kmesh\.net\/|^app(\.kubernetes\.io\/(name|version))?$|^version$|^pod-template-hash$|^topology\.|^kubernetes\.io\/(service-name|config\.hash)$/

export function reduceNamespace(namespace: Namespace): Namespace {
  return {metadata: reduceMeta(namespace.metadata, labelsOf(namespace.metadata))}
}

function labelsOf(metadata: ObjectMeta): Partial<ObjectMeta> {
  const labels = pick(metadata.labels, (name) => USED_NAMES.test(name))
  return labels === undefined ? {} : {labels}
}

export function reduceNode({metadata, spec, status}: NodeObject): NodeObject {
  return {
    metadata: reduceMeta(metadata, labelsOf(metadata)),
    spec: withoutUndefined({podCIDR: spec?.podCIDR, podCIDRs: spec?.podCIDRs}) as NonNullable<
      NodeObject['spec']
    >,
    status: {addresses: status?.addresses ?? []},
  }
}

export function reduceService({metadata, spec}: Service): Service {
  return {metadata: reduceMeta(metadata, {}), spec: spec ?? {}}
}

export function reduceSlice({metadata, addressType, endpoints, ports}: EndpointSlice): EndpointSlice {
  return {
    metadata: reduceMeta(metadata, labelsOf(metadata)),
    addressType,
    ports: ports ?? [],
    endpoints: (endpoints ?? []).map(({addresses, conditions, targetRef}) =>
      withoutUndefined({addresses: addresses.slice(0, 1), conditions, targetRef}),
    ) as NonNullable<EndpointSlice['endpoints']>,
  }
}

export function reducePod({metadata, spec, status}: Pod): Pod {
  const annotations = pick(metadata.annotations, (name) => USED_NAMES.test(name))
  const owners = metadata.ownerReferences?.filter((owner) => owner.controller === true)
  const ready = status?.conditions?.filter((condition) => condition.type === 'Ready')
  return {
    metadata: reduceMeta(metadata, {
      ...labelsOf(metadata),
      ...(annotations === undefined ? {} : {annotations}),
      ...(owners === undefined || owners.length === 0 ? {} : {ownerReferences: owners}),
      ...(metadata.deletionTimestamp === undefined ? {} : {deletionTimestamp: metadata.deletionTimestamp}),
    }),
    spec: withoutUndefined({
      nodeName: spec?.nodeName,
      hostNetwork: spec?.hostNetwork,
      serviceAccountName: spec?.serviceAccountName,
      containers: [],
    }) as NonNullable<Pod['spec']>,
    status: withoutUndefined({
      phase: status?.phase,
      podIP: status?.podIP,
      podIPs: status?.podIPs,
      conditions: ready?.map(({type, status: state}) => ({type, status: state})),
      containerStatuses: reduceContainers(status?.containerStatuses),
      // Those of Istio's redirection, and sidecars that are init containers.
      initContainerStatuses: reduceContainers(status?.initContainerStatuses),
    }) as NonNullable<Pod['status']>,
  }
}

type Statuses = NonNullable<Pod['status']>['containerStatuses']

function reduceContainers(statuses: Statuses): Statuses {
  return statuses?.map(
    ({name, ready, restartCount, containerID}) =>
      withoutUndefined({name, ready, restartCount, containerID}) as NonNullable<Statuses>[number],
  )
}
