// SPDX-License-Identifier: Apache-2.0
/** What a client's sidecar sends to one endpoint of a service: plain text or which kind of TLS. */
import {
  destinationRuleFor,
  type RuleClient,
  type RuleService,
  type RuleTls,
  tlsOfRule,
  tlsOfSubsets,
} from './destination-rule.ts'
import type {DestinationRule, MeshSettings, PeerAuthentication} from './istio-policy.ts'
import {effectiveMtls, namespaceMtls, type ServerWorkload} from './mtls-mode.ts'

/** Label that tells a client whether the endpoint understands Istio's mTLS. */
export const TLS_MODE_LABEL = 'security.istio.io/tlsMode'

/** `mtls`: with Istio's certificates. `tls`: one-way. `mutual`: with certificates of the DestinationRule. */
export type Sent = 'plain' | 'mtls' | 'tls' | 'mutual'

export interface IstioPolicies {
  readonly mesh: MeshSettings
  readonly peerAuthentications: readonly PeerAuthentication[]
  readonly destinationRules: readonly DestinationRule[]
}

export interface CalledService extends RuleService {
  /** Port of the service. */
  readonly port: number
  readonly isHeadless: boolean
  /** ServiceEntry with location MESH_EXTERNAL. */
  readonly isExternal: boolean
}

export interface CalledEndpoint extends ServerWorkload {
  /** Port of the container. */
  readonly targetPort: number
}

export interface ClientTls {
  /** Null: Istio's rules as we know them do not tell. */
  readonly sent: Sent | null
  /** Why `sent` is null: endpoints with and without label, or subsets that VirtualServices choose. */
  readonly undecided?: 'MixedHeadless' | 'SubsetDecides'
  /** `namespace/name` of the DestinationRule that was followed. */
  readonly rule: string | null
}

const FORCED: Readonly<Record<string, Sent>> = {
  DISABLE: 'plain',
  SIMPLE: 'tls',
  MUTUAL: 'mutual',
  ISTIO_MUTUAL: 'mtls',
}

/** @param all - every endpoint of the service, the one asked about among them */
export function clientTls(
  policies: IstioPolicies,
  client: RuleClient,
  service: CalledService,
  endpoint: CalledEndpoint,
  all: readonly CalledEndpoint[],
): ClientTls {
  const found = destinationRuleFor(policies.destinationRules, client, service, policies.mesh)
  const rule = found === undefined ? null : `${found.metadata.namespace}/${found.metadata.name}`
  const sentFor = (tls: RuleTls): Sent | null => sentWith(policies, tls, service, endpoint, all)
  const sent = sentFor(tlsOfRule(found, service.port))
  // Which subset a call takes is said by VirtualServices, which are not read.
  const subsets = tlsOfSubsets(found, service.port, endpoint.labels).map(sentFor)
  if (subsets.some((other) => other !== sent)) return {sent: null, rule, undecided: 'SubsetDecides'}
  return sent === null ? {sent, rule, undecided: 'MixedHeadless'} : {sent, rule}
}

function sentWith(
  policies: IstioPolicies,
  {mode, replaced}: RuleTls,
  service: CalledService,
  endpoint: CalledEndpoint,
  all: readonly CalledEndpoint[],
): Sent | null {
  const forced = FORCED[mode ?? '']
  if (forced !== undefined) return forced
  if (!isAutomatic(policies, service)) return 'plain'
  if (service.isHeadless) return ofHeadless(all)
  // Endpoints are compared with the top level all the same: with any other TLS than Istio's none of them has it.
  if (replaced !== undefined && replaced !== 'ISTIO_MUTUAL') return 'plain'
  return automatic(policies, endpoint, replaced === undefined)
}

function isAutomatic({mesh, peerAuthentications}: IstioPolicies, service: CalledService): boolean {
  if (!mesh.autoMtls || service.isExternal) return false
  // Also where a workload's own policy says STRICT: the client looks at namespace and mesh first.
  return namespaceMtls(peerAuthentications, service.namespace, mesh).mode !== 'DISABLE'
}

function automatic(
  {mesh, peerAuthentications}: IstioPolicies,
  endpoint: CalledEndpoint,
  honoursWorkload: boolean,
): Sent {
  if (tlsMode(endpoint) !== 'istio') return 'plain'
  const {mode} = effectiveMtls(peerAuthentications, endpoint, endpoint.targetPort, mesh)
  return honoursWorkload && mode === 'DISABLE' ? 'plain' : 'mtls'
}

/** One decision for the whole service; a workload's policy is not asked. */
function ofHeadless(all: readonly CalledEndpoint[]): Sent | null {
  const modes = all.map(tlsMode)
  if (modes.length > 0 && modes.every((mode) => mode === 'istio')) return 'mtls'
  return modes.includes('disabled') || !modes.includes('istio') ? 'plain' : null
}

function tlsMode({labels}: CalledEndpoint): string | undefined {
  return labels?.[TLS_MODE_LABEL]
}
