// SPDX-License-Identifier: Apache-2.0
/** Where connections of a path end, how often, and what receives them there. Pure. */
import type {CheckVerdict} from './interop-check.ts'
import {PAIR_TEXTS} from './pair-text.ts'
import {DIRECT, type PairServer, pairVerdict, type ServerColumn} from './pair-verdict.ts'
import type {FoundHop, PathInput} from './path.ts'
import {connectChoices, type LeftAlone, type PathAddress} from './path-connect.ts'
import {hopOf} from './path-hops.ts'
import type {PathPod} from './path-kube.ts'

/** Who chooses the endpoint. `direct`: nobody, the address is dialled; `unknown`: the kernel could not be read. */
export type PathVia = 'kmesh' | 'waypoint' | 'kube-proxy' | 'direct' | 'sidecar' | 'unknown'

/** Something that may happen to a connection. */
export interface PathWay extends PathAddress {
  readonly via: PathVia
  /** So many of the weights of all ways. */
  readonly weight: number
  /** `namespace/name` of those that may answer; empty: not known, or nobody. */
  readonly pods: readonly string[]
  readonly verdict: CheckVerdict
  /** Code of the verdict. */
  readonly reason: string
  /** Why Kmesh did nothing, where it could have. */
  readonly left: LeftAlone | null
  /** Who receives, of the pods, as `interop check` has it. */
  readonly receivers: readonly ServerColumn[]
  readonly fix: string | null
}

/** The likeliest first; never empty. */
export function waysOf(input: PathInput): readonly PathWay[] {
  const {managed, client, destination, tables} = input
  const {sidecar, bypassed} = client.capture
  if (managed.captured === false) {
    return [sidecar && !bypassed ? bySidecar(input) : plainWay(input, null)]
  }
  if (managed.captured === null || tables === undefined) return [unknownWay(input)]
  const found = new Map<string, PathWay>()
  for (const {target, viaWaypoint, weight, left} of connectChoices(tables, destination)) {
    const way = target === null ? plainWay(input, left) : chosenWay(input, target, viaWaypoint)
    const key = [way.via, way.address, way.port, way.left].join(' ')
    found.set(key, {...way, weight: (found.get(key)?.weight ?? 0) + weight})
  }
  return [...found.values()].sort((a, b) => b.weight - a.weight)
}

export function verdictOf(ways: readonly PathWay[]): CheckVerdict {
  return together(ways.map(({verdict}) => verdict))
}

/** All or some: `depends` where some fail. */
function together(verdicts: readonly CheckVerdict[]): CheckVerdict {
  const has = (verdict: CheckVerdict): boolean => verdicts.includes(verdict)
  if (has('depends') || (has('fails') && verdicts.some((verdict) => verdict !== 'fails'))) return 'depends'
  if (has('fails')) return 'fails'
  return has('unknown') || verdicts.length === 0 ? 'unknown' : 'works'
}

type Ending = Pick<PathWay, 'pods' | 'verdict' | 'reason' | 'receivers' | 'fix'>

function way(via: PathVia, at: PathAddress, ending: Ending, left: LeftAlone | null = null): PathWay {
  return {via, address: at.address, port: at.port, weight: 1, left, ...ending}
}

function ending(verdict: CheckVerdict, reason: string, pods: readonly string[] = []): Ending {
  return {verdict, reason, pods, receivers: [], fix: null}
}

/** What becomes of the destination as the application named it. */
function plainWay(input: PathInput, left: LeftAlone | null): PathWay {
  const {kube, destination} = input
  const {service, pod} = kube
  if (service !== null) return way('kube-proxy', destination, ofService(input), left)
  if (pod === null) return way('direct', destination, ending('unknown', 'NotInCluster'), left)
  return way('direct', destination, ofPod(input, pod, destination.port), left)
}

function ofService(input: PathInput): Ending {
  const {service} = input.kube
  if (service === null || !service.hasPort) return ending('fails', 'NoServicePort')
  if (service.endpoints.length === 0) return ending('fails', 'NoReadyEndpoints')
  const endings = service.endpoints.map(({address, targetPort}) =>
    ofAddress(input, {address, port: targetPort}),
  )
  return merged(endings)
}

function bySidecar(input: PathInput): PathWay {
  const plain = plainWay(input, null)
  return {...plain, via: 'sidecar'}
}

function chosenWay(input: PathInput, target: PathAddress, viaWaypoint: boolean): PathWay {
  if (viaWaypoint) return way('waypoint', target, ending('unknown', 'WaypointDecides'))
  return way('kmesh', target, ofAddress(input, target))
}

/** Kmesh would choose: what Kubernetes knows is all there is. */
function unknownWay(input: PathInput): PathWay {
  const {pods} = plainWay(input, null)
  return way('unknown', input.destination, ending('unknown', 'KernelUnknown', pods))
}

/** One endpoint, by its address. */
function ofAddress(input: PathInput, {address, port}: PathAddress): Ending {
  const pod = input.kube.podsByAddress.get(address)
  const endpoint = input.kube.service?.endpoints.find((one) => one.address === address)
  if (pod !== undefined) return ofPod(input, pod, port)
  // A manual endpoint, or a host: its address is all that is known.
  if (endpoint?.targetPort === port) return ending('works', 'Direct')
  return endpoint === undefined ? ending('fails', 'NobodyThere') : ending('unknown', 'PortNotDeclared')
}

function ofPod(input: PathInput, pod: PathPod, port: number): Ending {
  const {client, kube, policies} = input
  const service = kube.service ?? kube.headless
  const {checked} = pod
  const name = `${checked.namespace}/${checked.name}`
  const server = serverOf(pod, port)
  const endpoints = service?.endpoints ?? []
  const all = endpoints.flatMap(({address, targetPort}) => {
    const other = kube.podsByAddress.get(address)
    return other === undefined ? [] : [serverOf(other, targetPort)]
  })
  const found = pairVerdict(policies, client, service?.called ?? DIRECT, server, all)
  const receivers = found.column === null ? [] : [found.column]
  const {fix} = PAIR_TEXTS[found.reason]
  const isEndpoint = endpoints.some(
    ({address, targetPort}) => targetPort === port && pod.addresses.includes(address),
  )
  const isDeclared = isEndpoint || pod.ports.includes(port)
  const isUnsure = found.result === 'works' && !isDeclared
  return {
    pods: [name],
    verdict: isUnsure ? 'unknown' : found.result,
    reason: isUnsure ? 'PortNotDeclared' : found.reason,
    receivers,
    fix,
  }
}

function serverOf({checked}: PathPod, targetPort: number): PairServer {
  const {namespace, labels, capture} = checked
  return {namespace, labels, targetPort, capture}
}

const WORST_FIRST: readonly CheckVerdict[] = ['fails', 'depends', 'unknown', 'works']

function merged(endings: readonly Ending[]): Ending {
  const [worst] = [...endings].sort((a, b) => WORST_FIRST.indexOf(a.verdict) - WORST_FIRST.indexOf(b.verdict))
  return {
    pods: endings.flatMap(({pods}) => pods),
    verdict: together(endings.map(({verdict}) => verdict)),
    reason: worst?.reason ?? 'NoReadyEndpoints',
    receivers: [...new Set(endings.flatMap(({receivers}) => receivers))],
    fix: worst?.fix ?? null,
  }
}

const RECEIVERS: Readonly<Record<ServerColumn, string>> = {
  plain: 'the application',
  kmesh: 'the application of a captured pod; Kmesh does nothing on receive',
  sidecar: 'Envoy',
  bypassed: 'the application, past its sidecar',
}

export function receivesHop(ways: readonly PathWay[]): FoundHop {
  const pods = new Set(ways.flatMap((one) => one.pods))
  const columns = [...new Set(ways.flatMap(({receivers}) => receivers))]
  const kernel = columns.map((column) => RECEIVERS[column]).join(' or ') || null
  const texts = {
    kernel,
    kubernetes: pods.size === 0 ? null : `${pods.size} ${pods.size === 1 ? 'pod' : 'pods'}`,
  }
  const bad = ways.filter(({verdict}) => verdict === 'fails' || verdict === 'depends')
  const problems = [...new Map(bad.map((one) => [one.reason, one])).values()].map(({reason, fix}) => ({
    code: reason,
    message: `${reasonText(reason)}${fix === null ? '' : ` (${fix})`}`,
  }))
  if (problems.length > 0) return hopOf('receives', 'differs', texts, problems)
  const unsure = ways.find(({verdict}) => verdict === 'unknown')
  if (unsure !== undefined) return hopOf('receives', 'unknown', {...texts, note: reasonText(unsure.reason)})
  return hopOf('receives', 'ok', texts)
}

const REASONS: Readonly<Record<string, string>> = {
  NoReadyEndpoints: 'the service has no ready endpoint for this port',
  NoServicePort: 'the service has no such TCP port',
  NobodyThere: 'no running pod and no endpoint has the chosen address',
  NotInCluster: 'no pod and no service has this address',
  PortNotDeclared: 'nobody says that something listens on this port',
  WaypointDecides: 'a waypoint decides where it goes from here',
  KernelUnknown: "the kernel's tables could not be read",
}

export function reasonText(reason: string): string {
  const pair = Object.hasOwn(PAIR_TEXTS, reason)
    ? PAIR_TEXTS[reason as keyof typeof PAIR_TEXTS].why
    : undefined
  return REASONS[reason] ?? pair ?? reason
}
