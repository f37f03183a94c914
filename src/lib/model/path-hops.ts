// SPDX-License-Identifier: Apache-2.0
/** Hops of `path` that every connection of a captured pod passes: managed, frontend, service. Pure. */
import type {FoundHop, HopName, HopState, ManagedFacts, PathFinding, PathHop, PathInput} from './path.ts'
import type {KernelTables} from './path-connect.ts'
import type {PathKube} from './path-kube.ts'

type HopTexts = Partial<Pick<PathHop, 'kernel' | 'kubernetes' | 'note'>>

export function hopOf(
  hop: HopName,
  state: HopState,
  texts: HopTexts = {},
  problems: readonly Omit<PathFinding, 'hop'>[] = [],
): FoundHop {
  const {kernel = null, kubernetes = null, note = null} = texts
  const said = note ?? (problems.length > 0 ? problems.map(({message}) => message).join('; ') : null)
  return {
    hop: {hop, state, kernel, kubernetes, note: said},
    findings: problems.map(({code, message}) => ({hop, code, message})),
  }
}

export function managedHop({captured, kernel, intent, rule, note}: ManagedFacts): FoundHop {
  const texts = {kernel, kubernetes: `${intent ? 'enrolled' : 'not enrolled'} (${rule})`}
  if (captured === null || note !== null) return hopOf('managed', 'unknown', {...texts, note})
  if (captured === intent) {
    return hopOf('managed', 'ok', {...texts, note: captured ? null : 'the kernel leaves its connects alone'})
  }
  return captured
    ? hopOf('managed', 'differs', texts, [
        {code: 'CaptureStale', message: 'the kernel has the pod, its labels do not ask for it'},
      ])
    : hopOf('managed', 'missing', texts, [
        {code: 'NotCaptured', message: 'the labels ask for Kmesh, the kernel does not have the pod'},
      ])
}

export function frontendHop(input: PathInput, {upstreamId}: KernelTables): FoundHop {
  const {address} = input.destination
  const expected = expectedText(input.kube)
  const kernel = upstreamId === undefined ? null : idText(upstreamId, input.names)
  const texts = {kernel, kubernetes: expected}
  if (upstreamId === undefined && expected === null) {
    return hopOf('frontend', 'ok', {
      ...texts,
      note: 'nobody in the cluster has this address; it is dialled as it is',
    })
  }
  if (upstreamId === undefined) {
    const message = `km_frontend has no entry for ${address}: the connect is left alone`
    return hopOf('frontend', 'missing', texts, [{code: 'FrontendMissing', message}])
  }
  if (expected === null) {
    const message = `km_frontend leads ${address} to ${kernel}, and Kubernetes has nobody there`
    return hopOf('frontend', 'differs', texts, [{code: 'FrontendStale', message}])
  }
  if (leadsTo(input.kube, input.names[String(upstreamId)])) return hopOf('frontend', 'ok', texts)
  const message = `km_frontend leads ${address} to ${kernel} instead of ${expected}`
  return hopOf('frontend', 'differs', texts, [{code: 'FrontendElsewhere', message}])
}

export function serviceHop(input: PathInput, tables: KernelTables): FoundHop {
  const {upstreamId, service, backends} = tables
  const kubernetes = serviceText(input.kube)
  if (upstreamId === undefined) return hopOf('service', 'skipped', {kubernetes})
  if (service !== undefined) {
    const counts = service.endpointCount.join(',').replace(/(,0)+$/, '')
    const ports = service.ports.map(({servicePort, targetPort}) => `${servicePort}->${targetPort}`)
    const kernel = `${service.lbPolicy}, endpoints ${counts}, ports ${ports.join(',') || 'none'}`
    return hopOf('service', 'ok', {kernel, kubernetes})
  }
  if (backends.has(upstreamId)) {
    return hopOf('service', 'skipped', {kubernetes, note: 'the address is that of a pod'})
  }
  const message = `km_frontend leads to ${idText(upstreamId, input.names)}, which neither km_service nor km_backend has: the connect is left alone`
  return hopOf('service', 'missing', {kubernetes}, [{code: 'FrontendLeadsNowhere', message}])
}

/** `id 7 (shop/cart.shop.svc.cluster.local)`. */
export function idText(id: number, names: PathInput['names']): string {
  const name = names[String(id)]
  return name === undefined ? `id ${id} (no name)` : `id ${id} (${name})`
}

/** Null: the maps need not know the address. */
function expectedText({service, pod}: PathKube): string | null {
  if (service !== null) return `service ${service.namespace}/${service.name}`
  return pod === null ? null : `pod ${pod.checked.namespace}/${pod.checked.name}`
}

function leadsTo({service, pod}: PathKube, name: string | undefined): boolean {
  const plain = name?.replace(/#ipv[46]$/, '') ?? ''
  if (service !== null) {
    const {namespace, name: own} = service
    return plain.startsWith(`${namespace}/${own}.${namespace}.svc.`)
  }
  return pod !== null && plain.endsWith(`//Pod/${pod.checked.namespace}/${pod.checked.name}`)
}

function serviceText({service}: PathKube): string | null {
  if (service === null) return null
  const {ready, notReady} = service
  const more = notReady.size > 0 ? `, ${notReady.size} not ready` : ''
  return `${ready.size} ready${more}`
}
