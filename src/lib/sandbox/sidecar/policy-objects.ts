// SPDX-License-Identifier: Apache-2.0
/** PeerAuthentication and DestinationRule as the stand-in sidecars read them; everything in them may be missing. */
import type {KubeObject} from '../../model/kube.ts'

/** Mesh-wide policies live here. */
export const ROOT_NAMESPACE = 'istio-system'

export type Labels = Readonly<Record<string, string>>

interface Mtls {
  readonly mode?: string
}

export interface PeerPolicy extends KubeObject {
  readonly spec?: {
    readonly selector?: {readonly matchLabels?: Labels}
    readonly mtls?: Mtls
    /** By container port. */
    readonly portLevelMtls?: Readonly<Record<string, Mtls>>
  }
}

export interface TlsSettings {
  readonly mode?: string
  readonly sni?: string
  readonly insecureSkipVerify?: boolean
}

export interface TrafficPolicy {
  readonly tls?: TlsSettings
  readonly portLevelSettings?: readonly {
    readonly port?: {readonly number?: number}
    readonly tls?: TlsSettings
  }[]
}

export interface DestinationPolicy extends KubeObject {
  readonly spec?: {
    readonly host?: string
    readonly trafficPolicy?: TrafficPolicy
    readonly exportTo?: readonly string[]
    readonly workloadSelector?: {readonly matchLabels?: Labels}
  }
}

export function hasLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value)
}

/** Oldest first; of one second by name, then namespace. */
export function byAge(left: KubeObject, right: KubeObject): number {
  const keys = ({metadata}: KubeObject) => [metadata.creationTimestamp, metadata.name, metadata.namespace]
  for (const [index, key] of keys(left).entries()) {
    const [one, other] = [key ?? '', keys(right)[index] ?? '']
    if (one !== other) return one < other ? -1 : 1
  }
  return 0
}
