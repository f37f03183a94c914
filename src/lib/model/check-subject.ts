// SPDX-License-Identifier: Apache-2.0
/** Whom `interop check` is about, as typed: `pod/web-1`, `shop/deploy/cart`, `svc/cart`, `ns/shop`. */
import {UsageError} from '../errors.ts'

export interface CheckSubject {
  readonly kind: 'pod' | 'workload' | 'service' | 'namespace'
  readonly namespace: string
  /** Of the pod, the service, or the workload as `deployment/cart`; empty for a namespace. */
  readonly name: string
}

const WORKLOADS: Readonly<Record<string, string>> = {
  deploy: 'deployment',
  deployment: 'deployment',
  deployments: 'deployment',
  sts: 'statefulset',
  statefulset: 'statefulset',
  statefulsets: 'statefulset',
  ds: 'daemonset',
  daemonset: 'daemonset',
  daemonsets: 'daemonset',
  rs: 'replicaset',
  replicaset: 'replicaset',
  job: 'job',
}
const PODS = ['pod', 'pods', 'po']
const SERVICES = ['svc', 'service', 'services']
const NAMESPACES = ['ns', 'namespace', 'namespaces']

/** @param namespace - for names without one. @throws UsageError */
export function parseSubject(text: string, namespace: string): CheckSubject {
  const parts = text.split('/')
  if (parts.some((part) => part === '') || parts.length > 3) throw bad(text)
  if (parts.length === 1) return {kind: 'pod', namespace, name: text}
  if (parts.length === 2 && NAMESPACES.includes(parts[0] ?? '')) {
    return {kind: 'namespace', namespace: parts[1] ?? '', name: ''}
  }
  const [name = '', kind = '', own = namespace] = [...parts].reverse()
  if (PODS.includes(kind)) return {kind: 'pod', namespace: own, name}
  if (SERVICES.includes(kind)) return {kind: 'service', namespace: own, name}
  const workload = WORKLOADS[kind]
  if (workload === undefined) throw bad(text)
  return {kind: 'workload', namespace: own, name: `${workload}/${name}`}
}

function bad(text: string): UsageError {
  return new UsageError(`'${text}' names no pod, workload, service or namespace`, {
    hints: ['for example web-1, deploy/web, shop/svc/cart, ns/shop'],
  })
}
