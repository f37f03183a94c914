// SPDX-License-Identifier: Apache-2.0
/** Which DestinationRule a client's sidecar follows for a service, and what TLS it asks for (push_context.go of Istio). */
import {
  byAge,
  type DestinationRule,
  hasSelector,
  type MeshSettings,
  type RuleSubset,
  selects,
} from './istio-policy.ts'

export interface RuleClient {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>> | undefined
}

export interface RuleService {
  readonly namespace: string
  /** Full name: `cart.shop.svc.cluster.local`, or the host of a ServiceEntry. */
  readonly host: string
}

/** What a rule says about TLS of one port. `mode` undefined: nothing. */
export interface RuleTls {
  readonly mode: string | undefined
  /** Mode of the top level, where an entry for the port replaced it and is silent itself. */
  readonly replaced: string | undefined
}

/**
 * The client's namespace, then the service's, then the root namespace: the first one with a rule for the host
 * decides, nothing is merged across. Undefined: none, or the client's namespace has one that is not for this client.
 */
export function destinationRuleFor(
  rules: readonly DestinationRule[],
  client: RuleClient,
  service: RuleService,
  mesh: MeshSettings,
): DestinationRule | undefined {
  const places = [...new Set([client.namespace, service.namespace, mesh.rootNamespace])]
  for (const place of places) {
    const isOwn = place === client.namespace
    const usable = rules.filter(
      (rule) => rule.metadata.namespace === place && (isOwn ? isForOwn(rule) : isForOthers(rule)),
    )
    // The closest host decides first, also one that is exported to others than the client.
    const closest = closestHost(usable, service.host, mesh).filter(
      (rule) => isOwn || isExported(rule, client.namespace),
    )
    if (closest.length > 0) return choose(closest, client)
  }
  return undefined
}

/** @param port - of the service, not of the container */
export function tlsOfRule(rule: DestinationRule | undefined, port: number): RuleTls {
  const policy = rule?.spec?.trafficPolicy
  const entry = policy?.portLevelSettings?.find((candidate) => candidate.port?.number === port)
  if (entry === undefined) return {mode: policy?.tls?.mode, replaced: undefined}
  if (entry.tls?.mode !== undefined) return {mode: entry.tls.mode, replaced: undefined}
  return {mode: undefined, replaced: policy?.tls?.mode}
}

/**
 * TLS of the subsets that an endpoint with these labels is in, as far as they say something themselves; the others
 * inherit what {@link tlsOfRule} gives. A subset's entry for the port replaces all that stands above it.
 */
export function tlsOfSubsets(
  rule: DestinationRule | undefined,
  port: number,
  labels: Readonly<Record<string, string>> | undefined,
): readonly RuleTls[] {
  const own = (rule?.spec?.subsets ?? []).filter(({labels: matchLabels = {}}) =>
    selects({matchLabels}, labels),
  )
  return own.flatMap((subset) => tlsOfSubset(subset, rule, port) ?? [])
}

function tlsOfSubset(
  {trafficPolicy}: RuleSubset,
  rule: DestinationRule | undefined,
  port: number,
): RuleTls | undefined {
  const entry = trafficPolicy?.portLevelSettings?.find((candidate) => candidate.port?.number === port)
  const above = trafficPolicy?.tls?.mode
  if (entry === undefined) return above === undefined ? undefined : {mode: above, replaced: undefined}
  if (entry.tls?.mode !== undefined) return {mode: entry.tls.mode, replaced: undefined}
  return {mode: undefined, replaced: above ?? rule?.spec?.trafficPolicy?.tls?.mode}
}

/** Rules of the best match: an exact host before a wildcard, a longer wildcard before a shorter one. */
function closestHost(
  rules: readonly DestinationRule[],
  host: string,
  mesh: MeshSettings,
): readonly DestinationRule[] {
  const matches = rules
    .map((rule) => ({rule, pattern: fullHost(rule, mesh)}))
    .filter(({pattern}) => matchesHost(pattern, host))
  const rank = (pattern: string): number => (pattern === host ? Number.POSITIVE_INFINITY : pattern.length)
  const best = Math.max(...matches.map(({pattern}) => rank(pattern)))
  return matches.filter(({pattern}) => rank(pattern) === best).map(({rule}) => rule)
}

/** A name without dots is a service of the rule's own namespace; `cart.shop` is taken as it stands and matches nothing. */
function fullHost({metadata, spec}: DestinationRule, {clusterDomain}: MeshSettings): string {
  const host = spec?.host ?? ''
  if (host === '' || host.includes('.') || host.startsWith('*')) return host
  return `${host}.${metadata.namespace}.svc.${clusterDomain}`
}

function matchesHost(pattern: string, host: string): boolean {
  return pattern.startsWith('*') ? host.endsWith(pattern.slice(1)) : pattern === host
}

/**
 * Of one host: those made for this client before those for all; then the oldest that says anything, with the
 * subsets of all of them.
 */
function choose(rules: readonly DestinationRule[], client: RuleClient): DestinationRule | undefined {
  const selected = rules.filter(
    ({spec}) => hasSelector(spec?.workloadSelector) && selects(spec?.workloadSelector, client.labels),
  )
  const general = rules.filter(({spec}) => !hasSelector(spec?.workloadSelector))
  const candidates = [...(selected.length > 0 ? selected : general)].sort(byAge)
  const [oldest] = candidates
  if (oldest === undefined) return undefined
  const policy = candidates.find(({spec}) => Object.keys(spec?.trafficPolicy ?? {}).length > 0)
  const winner = policy ?? oldest
  const subsets = candidates.flatMap(({spec}) => spec?.subsets ?? [])
  return subsets.length === 0 ? winner : {...winner, spec: {...winner.spec, subsets}}
}

/** A rule with a workloadSelector is for its own namespace alone, whatever its exportTo says. */
function isForOwn(rule: DestinationRule): boolean {
  return hasSelector(rule.spec?.workloadSelector) || isExported(rule, rule.metadata.namespace ?? '')
}

/** For any other namespace than its own. */
function isForOthers({metadata, spec}: DestinationRule): boolean {
  if (hasSelector(spec?.workloadSelector)) return false
  const [place, ...more] = new Set(spec?.exportTo)
  return more.length > 0 || (place !== '.' && place !== metadata.namespace)
}

/** Without exportTo a rule is for every namespace. */
function isExported({metadata, spec}: DestinationRule, namespace: string): boolean {
  const exportTo = spec?.exportTo ?? []
  if (exportTo.length === 0) return true
  return exportTo.some(
    (place) => place === '*' || place === namespace || (place === '.' && metadata.namespace === namespace),
  )
}
