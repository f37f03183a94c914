// SPDX-License-Identifier: Apache-2.0
/** Istio's policy objects, as far as they decide between plain text and TLS. Fields are what the API server stored: unchecked. */
import type {KubeObject} from './kube.ts'

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
}

export interface PeerAuthentication extends KubeObject {
  readonly spec?: {
    readonly selector?: LabelSelector
    readonly mtls?: {readonly mode?: string}
    /** By container port, as text. */
    readonly portLevelMtls?: Readonly<Record<string, {readonly mode?: string}>>
  }
}

export interface TlsSettings {
  readonly mode?: string
}

export interface TrafficPolicy {
  readonly tls?: TlsSettings
  readonly portLevelSettings?: readonly {
    readonly port?: {readonly number?: number}
    readonly tls?: TlsSettings
  }[]
}

export interface RuleSubset {
  readonly name?: string
  /** Of the endpoints that are in it, besides the service's own selector. */
  readonly labels?: Readonly<Record<string, string>>
  readonly trafficPolicy?: TrafficPolicy
}

export interface DestinationRule extends KubeObject {
  readonly spec?: {
    readonly host?: string
    readonly exportTo?: readonly string[]
    readonly workloadSelector?: LabelSelector
    readonly trafficPolicy?: TrafficPolicy
    readonly subsets?: readonly RuleSubset[]
  }
}

export interface MeshSettings {
  /** Namespace whose policies count for the whole mesh. */
  readonly rootNamespace: string
  readonly autoMtls: boolean
  readonly clusterDomain: string
}

/** What istiod has when nobody configured it. */
export const DEFAULT_MESH: MeshSettings = {
  rootNamespace: 'istio-system',
  autoMtls: true,
  clusterDomain: 'cluster.local',
}

/** An empty or missing selector selects nothing in particular: false. */
export function hasSelector(selector: LabelSelector | undefined): boolean {
  return Object.keys(selector?.matchLabels ?? {}).length > 0
}

export function selects(
  selector: LabelSelector | undefined,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  return Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels?.[key] === value)
}

/** Oldest first; of the same second by name, then namespace. */
export function byAge(a: KubeObject, b: KubeObject): number {
  const keys = ({metadata}: KubeObject): readonly string[] => [
    metadata.creationTimestamp ?? '',
    metadata.name ?? '',
    metadata.namespace ?? '',
  ]
  const other = keys(b)
  for (const [index, key] of keys(a).entries()) {
    const against = other[index] ?? ''
    if (key !== against) return key < against ? -1 : 1
  }
  return 0
}
