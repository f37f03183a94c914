// SPDX-License-Identifier: Apache-2.0
/** What becomes of a connection that a pod makes now, from the kernel's tables and from what Kubernetes says. Pure. */
import type {IstioPolicies} from './client-tls.ts'
import type {CheckedPod, CheckVerdict} from './interop-check.ts'
import type {KernelTables, PathAddress} from './path-connect.ts'
import {frontendHop, managedHop, serviceHop} from './path-hops.ts'
import {backendHop, endpointsHop, portHop, priorityHop, waypointHop} from './path-hops-service.ts'
import type {PathKube} from './path-kube.ts'
import {sentenceOf} from './path-sentence.ts'
import type {PathTrace} from './path-trace.ts'
import {type PathWay, receivesHop, verdictOf, waysOf} from './path-ways.ts'

export const HOPS = [
  'managed',
  'frontend',
  'service',
  'priority',
  'endpoints',
  'backend',
  'port',
  'waypoint',
  'authorization',
  'receives',
] as const
export type HopName = (typeof HOPS)[number]
/** `differs`: kernel and Kubernetes say different things; `missing`: the kernel lacks it; `skipped`: not passed. */
export type HopState = 'ok' | 'differs' | 'missing' | 'unknown' | 'skipped'

export interface PathHop {
  readonly hop: HopName
  readonly state: HopState
  /** What the kernel holds, or null. */
  readonly kernel: string | null
  readonly kubernetes: string | null
  readonly note: string | null
}

/** Something stale, missing or different, or a reason why connections fail. */
export interface PathFinding {
  readonly hop: HopName
  readonly code: string
  readonly message: string
}

/** A hop with what was found there. */
export interface FoundHop {
  readonly hop: PathHop
  readonly findings: readonly PathFinding[]
}

/** Does the kernel have the client? */
export interface ManagedFacts {
  /** Null: not known. */
  readonly captured: boolean | null
  readonly kernel: string | null
  /** The labels ask for it. */
  readonly intent: boolean
  readonly rule: string
  /** Where the kernel was not asked, or says less than all: why. */
  readonly note: string | null
}

export interface PathInput {
  readonly client: CheckedPod
  readonly node: string
  readonly managed: ManagedFacts
  readonly destination: PathAddress
  /** Undefined: they could not be read. */
  readonly tables: KernelTables | undefined
  /** Why they could not. */
  readonly unreadable: string | null
  /** Id in decimal -> name of the service or workload. */
  readonly names: Readonly<Record<string, string>>
  readonly kube: PathKube
  /** Undefined where they may not be read. */
  readonly policies: IstioPolicies | undefined
}

export interface PathItem {
  readonly client: {readonly namespace: string; readonly name: string; readonly node: string}
  readonly destination: {
    readonly address: string
    readonly port: number
    /** `namespace/name`. */
    readonly service: string | null
    readonly pod: string | null
  }
  readonly verdict: CheckVerdict
  readonly sentence: string
  readonly hops: readonly PathHop[]
  /** What may happen, the likeliest first. */
  readonly ways: readonly PathWay[]
  readonly findings: readonly PathFinding[]
  /** Only where real connections were asked for. */
  readonly trace?: PathTrace
}

export function pathOf(input: PathInput): PathItem {
  const {client, node, destination, kube} = input
  const ways = waysOf(input)
  const found = hopsOf(input, ways)
  const findings = named(found.flatMap((one) => one.findings))
  const verdict = verdictOf(ways)
  return {
    client: {namespace: client.namespace, name: client.name, node},
    destination: {
      ...destination,
      service: kube.service === null ? null : `${kube.service.namespace}/${kube.service.name}`,
      pod: kube.pod === null ? null : `${kube.pod.checked.namespace}/${kube.pod.checked.name}`,
    },
    verdict,
    sentence: sentenceOf(input, ways, verdict, findings),
    hops: found.map(({hop}) => hop),
    ways,
    findings,
  }
}

/** What two hops say in the same words is one finding. */
function named(findings: readonly PathFinding[]): readonly PathFinding[] {
  return [
    ...new Map(findings.toReversed().map((one) => [`${one.code} ${one.message}`, one])).values(),
  ].toReversed()
}

function hopsOf(input: PathInput, ways: readonly PathWay[]): readonly FoundHop[] {
  const {managed, tables} = input
  const receives = receivesHop(ways)
  const passed = HOPS.slice(1, -1)
  if (managed.captured === false) {
    return [managedHop(managed), ...same(passed, 'skipped', 'the pod is not captured'), receives]
  }
  if (tables === undefined) {
    return [managedHop(managed), ...same(passed, 'unknown', input.unreadable), receives]
  }
  return [
    managedHop(managed),
    frontendHop(input, tables),
    serviceHop(input, tables),
    priorityHop(input, tables),
    endpointsHop(input, tables),
    backendHop(input, tables),
    portHop(input, tables),
    waypointHop(input, tables),
    ...same(['authorization'], 'skipped', "this node's programs check no authorization policies"),
    receives,
  ]
}

function same(hops: readonly HopName[], state: HopState, note: string | null): readonly FoundHop[] {
  return hops.map((hop) => ({hop: {hop, state, kernel: null, kubernetes: null, note}, findings: []}))
}
