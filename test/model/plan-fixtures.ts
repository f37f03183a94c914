// SPDX-License-Identifier: Apache-2.0
/** Objects that plan and interop tests share. */
import type {EnrollmentEntry} from '../../src/lib/model/api.ts'
import type {Namespace, Pod} from '../../src/lib/model/kube.ts'
import type {FactsByNode, NodeFacts} from '../../src/lib/model/plan-node.ts'

export const MODE = 'istio.io/dataplane-mode'
export const SIDECAR = {'sidecar.istio.io/status': '{}'}
export const CAPTURED = {'kmesh.net/redirection': 'enabled'}

export function namespaceOf(
  name: string,
  mode?: string,
  more: Partial<Namespace['metadata']> = {},
): Namespace {
  const labels = {...(mode === undefined ? {} : {[MODE]: mode}), ...more.labels}
  return {metadata: {name, uid: `uid-${name}`, resourceVersion: '1', ...more, labels}}
}

export interface PodOptions {
  readonly namespace?: string
  readonly mode?: string
  readonly annotations?: Record<string, string>
  readonly metadata?: Partial<Pod['metadata']>
  readonly node?: string | null
  readonly phase?: string
  readonly ready?: boolean
  readonly hostNetwork?: boolean
  readonly startTime?: string
}

export function podOf(name: string, options: PodOptions = {}): Pod {
  const {mode, metadata, node = 'n1'} = options
  return {
    metadata: {
      name,
      namespace: options.namespace ?? 'shop',
      uid: `uid-${name}`,
      resourceVersion: '7',
      annotations: options.annotations ?? {},
      ...metadata,
      labels: {...(mode === undefined ? {} : {[MODE]: mode}), ...metadata?.labels},
    },
    spec: {
      containers: [],
      ...(node === null ? {} : {nodeName: node}),
      ...(options.hostNetwork ? {hostNetwork: true} : {}),
    },
    status: {
      phase: options.phase ?? 'Running',
      conditions: [{type: 'Ready', status: (options.ready ?? true) ? 'True' : 'False'}],
      ...(options.startTime === undefined ? {} : {startTime: options.startTime}),
    },
  }
}

/** Our agent, ready, with these pods known to it: uid -> captured. */
export function ours(
  node: string,
  captured: Readonly<Record<string, boolean>> = {},
  more: Partial<NodeFacts> = {},
): NodeFacts {
  const entries = Object.entries(captured).map(([uid, is]) => [uid, entryOf(uid, is)] as const)
  return {
    node,
    daemon: 'ready',
    sidecarPolicy: 'exclude',
    existingPods: 'live',
    capabilities: ['mapKeys', 'ttl', 'enrollment'],
    enrollment: new Map(entries),
    ...more,
  }
}

/** A Go daemon: tells nothing about pods. */
export function goDaemon(node: string, more: Partial<NodeFacts> = {}): NodeFacts {
  return {
    node,
    daemon: 'ready',
    sidecarPolicy: 'exclude',
    existingPods: 'live',
    capabilities: [],
    enrollment: null,
    ...more,
  }
}

export function entryOf(
  uid: string,
  captured: boolean,
  more: Partial<EnrollmentEntry> = {},
): EnrollmentEntry {
  return {
    namespace: 'shop',
    pod: uid.replace(/^uid-/, ''),
    uid,
    cookie: '4711',
    classid: null,
    addresses: [],
    since: '2026-01-01T00:00:00Z',
    rule: captured ? 'NamespaceLabel' : 'NotLabelled',
    intent: captured,
    captured,
    ...more,
  }
}

export function factsOf(...nodes: readonly NodeFacts[]): FactsByNode {
  return new Map(nodes.map((node) => [node.node, node]))
}
