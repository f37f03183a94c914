// SPDX-License-Identifier: Apache-2.0
/** Which DestinationRule a client's sidecar follows for a service, and what it says about TLS on a port. */
import {
  byAge,
  type DestinationPolicy,
  hasLabels,
  type Labels,
  ROOT_NAMESPACE,
  type TlsSettings,
  type TrafficPolicy,
} from './policy-objects.ts'

export interface ServiceName {
  readonly namespace: string
  readonly name: string
}

export interface ClientName {
  readonly namespace: string
  readonly labels: Labels
}

export function fullName({namespace, name}: ServiceName): string {
  return `${name}.${namespace}.svc.cluster.local`
}

/** A name without a dot is one of the rule's own namespace; `name.namespace` counts as a whole name. */
function hostOf({spec, metadata}: DestinationPolicy): string {
  const host = spec?.host ?? ''
  return host.includes('.') || host.startsWith('*')
    ? host
    : fullName({namespace: metadata.namespace ?? '', name: host})
}

function matchesHost(host: string, service: string): boolean {
  return host.startsWith('*') ? service.endsWith(host.slice(1)) : host === service
}

/** With a selector it is private, whatever else it says. */
function isPrivate({spec, metadata}: DestinationPolicy): boolean {
  const to = new Set(spec?.exportTo)
  const isOwnOnly = to.size === 1 && (to.has('.') || to.has(metadata.namespace ?? ''))
  return spec?.workloadSelector !== undefined || isOwnOnly
}

function isVisible(rule: DestinationPolicy, namespace: string): boolean {
  const {spec, metadata} = rule
  if (isPrivate(rule)) return metadata.namespace === namespace
  const to = spec?.exportTo ?? []
  if (to.length === 0 || to.includes('*') || to.includes(namespace)) return true
  return to.includes('.') && metadata.namespace === namespace
}

/** An exact host before every wildcard, a longer wildcard before a shorter one. */
function rank(host: string): number {
  return host.startsWith('*') ? host.length : Number.POSITIVE_INFINITY
}

function isNotEmpty(policy: TrafficPolicy | undefined): policy is TrafficPolicy {
  return policy !== undefined && Object.keys(policy).length > 0
}

/** Rules with a selector stand for themselves, and only in their own namespace. */
function policyOfHost(rules: readonly DestinationPolicy[], client: ClientName): TrafficPolicy | undefined {
  const ordered = rules.toSorted(byAge)
  const selecting = ordered.filter(({spec}) => spec?.workloadSelector !== undefined)
  const chosen = selecting.filter(
    ({spec, metadata}) =>
      metadata.namespace === client.namespace &&
      hasLabels(client.labels, spec?.workloadSelector?.matchLabels ?? {}),
  )
  const common = ordered.filter((rule) => !selecting.includes(rule))
  return (chosen.length > 0 ? chosen : common)
    .map(({spec}) => spec?.trafficPolicy)
    .find((policy) => isNotEmpty(policy))
}

/** The first namespace with a rule for the host decides alone: the client's, the service's, the root. */
export function trafficPolicyFor(
  client: ClientName,
  service: ServiceName,
  rules: readonly DestinationPolicy[],
): TrafficPolicy | undefined {
  const wanted = fullName(service)
  for (const namespace of [client.namespace, service.namespace, ROOT_NAMESPACE]) {
    // Where the client lives only what it sees competes; elsewhere all that anybody from outside sees.
    const competes = (rule: DestinationPolicy): boolean =>
      namespace === client.namespace ? isVisible(rule, namespace) : !isPrivate(rule)
    const found = rules.filter(
      (rule) => rule.metadata.namespace === namespace && matchesHost(hostOf(rule), wanted) && competes(rule),
    )
    const best = Math.max(...found.map((rule) => rank(hostOf(rule))))
    const closest = found.filter((rule) => rank(hostOf(rule)) === best && isVisible(rule, client.namespace))
    if (closest.length > 0) return policyOfHost(closest, client)
  }
  return undefined
}

/** What a traffic policy says for one service port. */
export interface PortTls {
  /** Written for this port; undefined leaves it to automatic mTLS. */
  readonly settings: TlsSettings | undefined
  /** Mode of the top level where an entry of the port without `tls` stands over it. */
  readonly covered: string | undefined
}

/** A port entry replaces the whole top level. */
export function tlsOfPort(policy: TrafficPolicy | undefined, servicePort: number): PortTls {
  const entry = policy?.portLevelSettings?.find(({port}) => port?.number === servicePort)
  if (entry === undefined) return {settings: policy?.tls, covered: undefined}
  return {settings: entry.tls, covered: entry.tls === undefined ? policy?.tls?.mode : undefined}
}
