// SPDX-License-Identifier: Apache-2.0
/** What a sidecar accepts on a port: which PeerAuthentication counts, and what it says. */
import {byAge, hasLabels, type Labels, type PeerPolicy, ROOT_NAMESPACE} from './policy-objects.ts'

export type Mode = 'STRICT' | 'PERMISSIVE' | 'DISABLE'

export interface ReceiveModes {
  /** Of every port that `ports` does not name. */
  readonly mode: Mode
  /** By container port. */
  readonly ports: Readonly<Record<string, Mode>>
}

const MODES: readonly string[] = ['STRICT', 'PERMISSIVE', 'DISABLE']

/** UNSET, missing and unknown words inherit. */
function orInherited(mode: string | undefined, inherited: Mode): Mode {
  return MODES.includes(mode ?? '') ? (mode as Mode) : inherited
}

function selectorOf(policy: PeerPolicy): Labels {
  return policy.spec?.selector?.matchLabels ?? {}
}

function hasSelector(policy: PeerPolicy): boolean {
  return Object.keys(selectorOf(policy)).length > 0
}

/** One policy a scope counts, whatever it says: nothing is merged. */
function oldest(policies: readonly PeerPolicy[]): PeerPolicy | undefined {
  return policies.toSorted(byAge)[0]
}

/** Of a namespace, and with it of the mesh: what its pods accept when no policy selects them. */
export function namespaceMode(namespace: string, policies: readonly PeerPolicy[]): Mode {
  const without = policies.filter((policy) => !hasSelector(policy))
  const inNamespace = (name: string) => oldest(without.filter(({metadata}) => metadata.namespace === name))
  const mesh = orInherited(inNamespace(ROOT_NAMESPACE)?.spec?.mtls?.mode, 'PERMISSIVE')
  if (namespace === ROOT_NAMESPACE) return mesh
  return orInherited(inNamespace(namespace)?.spec?.mtls?.mode, mesh)
}

/** Of one pod. */
export function receiveModes(
  pod: {readonly namespace: string; readonly labels: Labels},
  policies: readonly PeerPolicy[],
): ReceiveModes {
  const inherited = namespaceMode(pod.namespace, policies)
  // A selector in the root namespace means nothing.
  const own = policies.filter(
    (policy) =>
      policy.metadata.namespace === pod.namespace &&
      pod.namespace !== ROOT_NAMESPACE &&
      hasSelector(policy) &&
      hasLabels(pod.labels, selectorOf(policy)),
  )
  const winner = oldest(own)?.spec
  const mode = orInherited(winner?.mtls?.mode, inherited)
  const ports = Object.entries(winner?.portLevelMtls ?? {}).map(([port, setting]) => [
    port,
    orInherited(setting.mode, mode),
  ])
  return {mode, ports: Object.fromEntries(ports)}
}

export function modeOfPort(modes: ReceiveModes, port: number): Mode {
  return modes.ports[String(port)] ?? modes.mode
}
