// SPDX-License-Identifier: Apache-2.0
/** Which port of the endpoints stands behind each port of a service. */
import type {Endpoint, EndpointSlice, ServicePort} from '../model/kube.ts'
import type {PortPair} from '../model/map-fields.ts'

interface ChosenTargets {
  readonly pairs: readonly PortPair[]
  readonly slices: readonly EndpointSlice[]
}

/**
 * The map has one target port for a service port, while slices may differ (named ports, a rolling change of a
 * number). The ports of most ready endpoints win; endpoints that do not listen there are left out, not broken.
 */
export function chooseTargets(
  ports: readonly ServicePort[],
  slices: readonly EndpointSlice[],
  family: 4 | 6,
  warnings: string[],
): ChosenTargets {
  const groups = new Map<string, {targets: number[]; slices: EndpointSlice[]; ready: number}>()
  for (const slice of slices) {
    const ready = (slice.endpoints ?? []).filter(isUsable).length
    if (ready === 0) continue
    const targets = ports.map((port) => targetIn(slice, port))
    const group = groups.get(targets.join()) ?? {targets, slices: [], ready: 0}
    group.slices.push(slice)
    group.ready += ready
    groups.set(targets.join(), group)
  }
  const ranked = [...groups.entries()].sort(([a, x], [b, y]) => y.ready - x.ready || (a < b ? -1 : 1))
  const best = ranked[0]?.[1]
  if (ranked.length > 1) {
    const left = ranked.slice(1).reduce((sum, [, group]) => sum + group.ready, 0)
    warnings.push(
      `has IPv${family} endpoints with different target ports (${ranked.map(([text]) => text).join(' / ')}): ` +
        `the first are used, ${left} endpoints are not`,
    )
  }
  const targets = best?.targets ?? ports.map((port) => specTarget(port))
  const pairs = ports.map((port, slot) => ({servicePort: port.port, targetPort: targets[slot] ?? 0}))
  return {pairs: pairs.filter((pair) => pair.targetPort !== 0), slices: best?.slices ?? []}
}

/** Port of the slice for this service port: they share the name, empty where a service has one port. 0: none. */
function targetIn(slice: EndpointSlice, port: ServicePort): number {
  const same = slice.ports?.find(
    (entry) => (entry.name ?? '') === (port.name ?? '') && (entry.protocol ?? 'TCP') === 'TCP',
  )
  return same === undefined ? 0 : (same.port ?? port.port)
}

/** Before any endpoint is known: a number is taken, a name stands for the service port. */
function specTarget(port: ServicePort): number {
  return typeof port.targetPort === 'number' && port.targetPort !== 0 ? port.targetPort : port.port
}

/** Ready (unknown counts as ready) and not on its way out. */
export function isUsable(endpoint: Endpoint): boolean {
  return endpoint.conditions?.ready !== false && endpoint.conditions?.terminating !== true
}
