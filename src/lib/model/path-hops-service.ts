// SPDX-License-Identifier: Apache-2.0
/** Hops of `path` behind the service: priority, endpoints, backends, port, waypoint; each entry against Kubernetes. Pure. */

import type {ServiceValue} from './maps.ts'
import type {FoundHop, PathFinding, PathInput} from './path.ts'
import {chosenPriority, type KernelTables, translatedPort, waypointOf} from './path-connect.ts'
import {hopOf, idText} from './path-hops.ts'

type Problem = Omit<PathFinding, 'hop'>

const SHOWN = 5

/** The first few, and how many more. */
export function listed(texts: readonly (string | number)[]): string {
  const more = texts.length > SHOWN ? ` and ${texts.length - SHOWN} more` : ''
  return `${texts.slice(0, SHOWN).join(', ')}${more}`
}

export function priorityHop({kube}: PathInput, {service}: KernelTables): FoundHop {
  if (service === undefined) return hopOf('priority', 'skipped')
  const priority = chosenPriority(service)
  if (priority !== undefined) {
    const kernel = `${priority} (${service.lbPolicy}), ${service.endpointCount[priority]} of it`
    return hopOf('priority', 'ok', {kernel})
  }
  const ready = kube.service?.ready.size ?? 0
  const kernel = `none (${service.lbPolicy})`
  if (ready === 0) {
    return hopOf('priority', 'ok', {kernel, note: 'no endpoints: the connect is left alone'})
  }
  const message = `${ready} endpoints are ready, km_service counts none: the connect is left alone`
  return hopOf('priority', 'missing', {kernel}, [{code: 'NoKernelEndpoints', message}])
}

/** Entries that connects may draw, and those that they never do. */
interface Entries {
  /** Backend uids at indexes up to the count, of every priority. */
  readonly used: ReadonlySet<number>
  /** How many indexes up to the counts have no entry. */
  readonly gaps: number
  /** `priority/index` of the first of them. */
  readonly firstGap: string | undefined
  /** `priority/index` of entries behind the counts. */
  readonly beyond: readonly string[]
}

function entriesOf({service, endpoints}: KernelTables): Entries {
  const all = [...endpoints].flatMap(([priority, entries]) =>
    [...entries].map(([index, uid]) => ({priority, index, uid})),
  )
  const counts = service?.endpointCount ?? []
  const isUsed = ({priority, index}: {priority: number; index: number}): boolean =>
    index >= 1 && index <= (counts[priority] ?? 0)
  const drawn = all.filter(isUsed)
  const beyond = all.filter((entry) => !isUsed(entry)).map(({priority, index}) => `${priority}/${index}`)
  const gaps = counts.reduce((sum, count) => sum + count, 0) - drawn.length
  const used = new Set(drawn.map(({uid}) => uid))
  return {used, gaps, firstGap: gaps === 0 ? undefined : firstGapOf(counts, endpoints), beyond}
}

function firstGapOf(counts: readonly number[], endpoints: KernelTables['endpoints']): string | undefined {
  for (const [priority, count] of counts.entries()) {
    const entries = endpoints.get(priority)
    for (let index = 1; index <= count; index += 1) {
      if (entries?.has(index) !== true) return `${priority}/${index}`
    }
  }
  return undefined
}

export function endpointsHop({kube}: PathInput, tables: KernelTables): FoundHop {
  const {service, backends} = tables
  const ready = [...(kube.service?.ready ?? [])]
  const kubernetes = kube.service === null ? null : `${ready.length} ready`
  if (service === undefined) return hopOf('endpoints', 'skipped', {kubernetes})
  const {used, gaps, firstGap, beyond} = entriesOf(tables)
  const known = new Set([...used].map((uid) => backends.get(uid)?.address))
  const lacking = ready.filter((address) => !known.has(address))
  const missing: Problem[] = []
  if (gaps > 0) {
    missing.push({
      code: 'EndpointMissing',
      message: `km_service counts ${gaps} more than km_endpoint has: no entry at priority/index ${firstGap}`,
    })
  }
  if (lacking.length > 0) {
    missing.push({code: 'EndpointLacking', message: `ready, and not known to the kernel: ${listed(lacking)}`})
  }
  const stale: Problem[] =
    beyond.length === 0
      ? []
      : [
          {
            code: 'EndpointBeyondCount',
            message: `never drawn, beyond the count: priority/index ${listed(beyond)}`,
          },
        ]
  const empty: Problem[] =
    kube.service?.hasPort === true && kube.service.endpoints.length === 0
      ? [{code: 'NoReadyEndpoints', message: 'the service has no ready endpoint for this port'}]
      : []
  const state = missing.length > 0 ? 'missing' : stale.length > 0 ? 'differs' : 'ok'
  const kernel = `${used.size} of ${service.endpointCount.reduce((sum, count) => sum + count, 0)}`
  return hopOf('endpoints', state, {kernel, kubernetes}, [...missing, ...stale, ...empty])
}

export function backendHop(input: PathInput, tables: KernelTables): FoundHop {
  return tables.service === undefined ? podBackendHop(input, tables) : serviceBackendHop(input, tables)
}

function podBackendHop(input: PathInput, {upstreamId, backends}: KernelTables): FoundHop {
  const backend = upstreamId === undefined ? undefined : backends.get(upstreamId)
  const {address} = input.destination
  const kubernetes = input.kube.pod === null ? null : address
  if (upstreamId === undefined || backend === undefined) return hopOf('backend', 'skipped', {kubernetes})
  const kernel = `${backend.address} (${idText(upstreamId, input.names)})`
  if (backend.address === address) return hopOf('backend', 'ok', {kernel, kubernetes})
  const message = `km_backend has ${backend.address} where ${address} was called`
  return hopOf('backend', 'differs', {kernel, kubernetes}, [{code: 'BackendAddressDiffers', message}])
}

function serviceBackendHop({kube, names}: PathInput, tables: KernelTables): FoundHop {
  const {used} = entriesOf(tables)
  const ready = kube.service?.ready ?? new Set<string>()
  const gone = [...used].filter((uid) => !tables.backends.has(uid))
  const addresses = [...used].flatMap((uid) => tables.backends.get(uid)?.address ?? [])
  const stale = kube.service === null ? [] : addresses.filter((address) => !ready.has(address))
  const problems: Problem[] = []
  if (gone.length > 0) {
    const ids = listed(gone.map((uid) => idText(uid, names)))
    problems.push({
      code: 'BackendMissing',
      message: `km_endpoint leads to backends that km_backend lacks: ${ids}`,
    })
  }
  if (stale.length > 0) {
    const texts = stale.map(
      (address) => `${address}${kube.service?.notReady.has(address) ? ' (not ready)' : ''}`,
    )
    problems.push({code: 'BackendStale', message: `backends that are no ready endpoint: ${listed(texts)}`})
  }
  const state = gone.length > 0 ? 'missing' : stale.length > 0 ? 'differs' : 'ok'
  const texts = {kernel: listed(addresses.sort()) || null, kubernetes: listed([...ready].sort()) || null}
  return hopOf('backend', state, texts, problems)
}

export function portHop({kube, destination}: PathInput, {service, upstreamId}: KernelTables): FoundHop {
  const {port} = destination
  if (service === undefined) {
    return hopOf('port', 'skipped', upstreamId === undefined ? {} : {note: `${port} stays as it is`})
  }
  const targets = [...new Set((kube.service?.endpoints ?? []).map(({targetPort}) => targetPort))]
  const hasPort = kube.service?.hasPort === true
  const target = translatedPort(service, port)
  const texts = {
    kernel: target === undefined ? null : `${port} -> ${target}`,
    kubernetes: hasPort ? `${port} -> ${targets.join(' or ') || 'nobody'}` : null,
  }
  // Where Kubernetes has no service, its frontend is what is wrong.
  const problem = kube.service === null ? undefined : portProblem(service, {port, target, targets, hasPort})
  if (problem === undefined) return hopOf('port', 'ok', texts)
  const state = target === undefined ? 'missing' : 'differs'
  return hopOf('port', problem.code === 'NoServicePort' ? 'ok' : state, texts, [problem])
}

interface PortFacts {
  readonly port: number
  readonly target: number | undefined
  readonly targets: readonly number[]
  readonly hasPort: boolean
}

function portProblem(
  service: ServiceValue,
  {port, target, targets, hasPort}: PortFacts,
): Problem | undefined {
  if (target === undefined) {
    // A waypoint takes every port.
    if (waypointOf(service) !== undefined) return undefined
    return hasPort
      ? {code: 'ServicePortMissing', message: `km_service has no port ${port}: the connect is left alone`}
      : {code: 'NoServicePort', message: 'the service has no such TCP port'}
  }
  if (!hasPort) {
    return {code: 'ServicePortStale', message: `km_service has port ${port}, the service has not`}
  }
  const others = targets.filter((one) => one !== target)
  if (others.length === 0) return undefined
  return {
    code: 'TargetPortDiffers',
    message: `km_service translates ${port} to ${target}, endpoints listen on ${others.join(', ')}`,
  }
}

export function waypointHop({kube}: PathInput, tables: KernelTables): FoundHop {
  const {service, upstreamId, backends} = tables
  if (upstreamId === undefined) return hopOf('waypoint', 'skipped')
  const values = service === undefined ? [backends.get(upstreamId)] : [service, ...backends.values()]
  const waypoints = values.flatMap((value) => waypointOf(value) ?? [])
  const texts = [...new Set(waypoints.map(({address, port}) => `${address}:${port}`))]
  const asked = kube.service?.waypoint ?? null
  const shown = {kernel: texts.length === 0 ? 'none' : listed(texts), kubernetes: asked}
  if (asked !== null && texts.length === 0) {
    const message = `label istio.io/use-waypoint asks for ${asked}, the kernel has no waypoint`
    return hopOf('waypoint', 'missing', shown, [{code: 'WaypointMissing', message}])
  }
  return hopOf('waypoint', 'ok', shown)
}
