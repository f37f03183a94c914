// SPDX-License-Identifier: Apache-2.0
/** The parts of Kubernetes objects that we read, as they stand in JSON (client-node's classes have Dates). */

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
}

export interface ManagedFields {
  readonly manager?: string
  readonly operation?: string
  readonly time?: string
  readonly fieldsV1?: Readonly<Record<string, unknown>>
  readonly subresource?: string
}

export interface ObjectMeta {
  readonly name?: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  readonly generation?: number
  readonly generateName?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
  readonly managedFields?: readonly ManagedFields[]
}

export interface KubeObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: ObjectMeta
}

export interface KubeList<T> {
  readonly metadata: {readonly resourceVersion?: string; readonly continue?: string}
  readonly items: readonly T[]
}

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: T
}

export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
}

export interface Namespace extends KubeObject {
  readonly status?: {readonly phase?: string}
}

export interface NodeObject extends KubeObject {
  readonly spec?: {
    readonly podCIDR?: string
    readonly podCIDRs?: readonly string[]
    readonly unschedulable?: boolean
  }
  readonly status?: {
    readonly addresses?: readonly {readonly type: string; readonly address: string}[]
    readonly conditions?: readonly Condition[]
    readonly daemonEndpoints?: {readonly kubeletEndpoint?: {readonly Port: number}}
    readonly nodeInfo?: Readonly<Record<string, string>>
  }
}

export interface ContainerPort {
  readonly name?: string
  readonly containerPort: number
  readonly protocol?: string
}

export interface Probe {
  readonly httpGet?: {
    readonly host?: string
    readonly path?: string
    readonly port: number | string
    readonly scheme?: string
  }
  readonly tcpSocket?: {readonly host?: string; readonly port: number | string}
  readonly exec?: {readonly command?: readonly string[]}
  readonly initialDelaySeconds?: number
  readonly periodSeconds?: number
  readonly timeoutSeconds?: number
  readonly failureThreshold?: number
  readonly successThreshold?: number
}

export interface EnvironmentEntry {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: {readonly fieldRef?: {readonly fieldPath?: string}}
}

export interface Container {
  readonly name: string
  readonly image?: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: readonly EnvironmentEntry[]
  readonly ports?: readonly ContainerPort[]
  readonly workingDir?: string
  readonly readinessProbe?: Probe
  readonly startupProbe?: Probe
  readonly securityContext?: {readonly runAsUser?: number; readonly runAsGroup?: number}
  readonly restartPolicy?: string
}

export interface ContainerStatus {
  readonly name: string
  readonly ready: boolean
  readonly started?: boolean
  readonly restartCount: number
  readonly image?: string
  readonly containerID?: string
  readonly state?: {
    readonly running?: {readonly startedAt?: string}
    readonly waiting?: {readonly reason?: string; readonly message?: string}
    readonly terminated?: {readonly exitCode: number; readonly reason?: string; readonly finishedAt?: string}
  }
}

export interface PodSpec {
  readonly nodeName?: string
  readonly hostNetwork?: boolean
  readonly serviceAccountName?: string
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly restartPolicy?: string
  readonly terminationGracePeriodSeconds?: number
  readonly securityContext?: {readonly runAsUser?: number; readonly runAsGroup?: number}
  readonly nodeSelector?: Readonly<Record<string, string>>
}

export interface Pod extends KubeObject {
  readonly spec?: PodSpec
  readonly status?: {
    readonly phase?: string
    readonly podIP?: string
    readonly podIPs?: readonly {readonly ip: string}[]
    readonly hostIP?: string
    readonly startTime?: string
    readonly conditions?: readonly Condition[]
    readonly containerStatuses?: readonly ContainerStatus[]
    readonly initContainerStatuses?: readonly ContainerStatus[]
    readonly reason?: string
    readonly message?: string
  }
}

export interface ServicePort {
  readonly name?: string
  readonly protocol?: string
  readonly port: number
  readonly targetPort?: number | string
  readonly nodePort?: number
}

export interface Service extends KubeObject {
  readonly spec?: {
    readonly type?: string
    readonly clusterIP?: string
    readonly clusterIPs?: readonly string[]
    readonly ipFamilies?: readonly ('IPv4' | 'IPv6')[]
    readonly ipFamilyPolicy?: string
    readonly ports?: readonly ServicePort[]
    readonly selector?: Readonly<Record<string, string>>
    readonly publishNotReadyAddresses?: boolean
  }
}

export interface Endpoint {
  readonly addresses: readonly string[]
  readonly conditions?: {readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean}
  readonly nodeName?: string
  readonly zone?: string
  readonly targetRef?: {
    readonly kind?: string
    readonly name?: string
    readonly namespace?: string
    readonly uid?: string
  }
}

export interface EndpointSlice extends KubeObject {
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN'
  readonly endpoints?: readonly Endpoint[] | null
  readonly ports?:
    | readonly {readonly name?: string; readonly port?: number; readonly protocol?: string}[]
    | null
}

/** Resource names in one place: group, version, plural. */
export const RESOURCES = {
  namespaces: {group: '', version: 'v1', resource: 'namespaces'},
  nodes: {group: '', version: 'v1', resource: 'nodes'},
  pods: {group: '', version: 'v1', resource: 'pods'},
  services: {group: '', version: 'v1', resource: 'services'},
  configmaps: {group: '', version: 'v1', resource: 'configmaps'},
  events: {group: '', version: 'v1', resource: 'events'},
  endpointslices: {group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices'},
  deployments: {group: 'apps', version: 'v1', resource: 'deployments'},
  replicasets: {group: 'apps', version: 'v1', resource: 'replicasets'},
  daemonsets: {group: 'apps', version: 'v1', resource: 'daemonsets'},
  secrets: {group: '', version: 'v1', resource: 'secrets'},
  serviceaccounts: {group: '', version: 'v1', resource: 'serviceaccounts'},
  leases: {group: 'coordination.k8s.io', version: 'v1', resource: 'leases'},
  roles: {group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'roles'},
  rolebindings: {group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'rolebindings'},
  clusterroles: {group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterroles'},
  clusterrolebindings: {group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterrolebindings'},
  customresourcedefinitions: {
    group: 'apiextensions.k8s.io',
    version: 'v1',
    resource: 'customresourcedefinitions',
  },
} as const

/** `namespace/name`, or the name alone for cluster-scoped objects. */
export function objectKey(object: KubeObject): string {
  const {namespace, name} = object.metadata
  return namespace ? `${namespace}/${name}` : (name ?? '')
}

export function isPodReady(pod: Pod): boolean {
  return (
    pod.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ??
    false
  )
}
