// SPDX-License-Identifier: Apache-2.0
import type {Column} from './table.ts'

/** Rows of `sandbox status`, as the command hands them over. */
export interface SandboxPodRow {
  readonly namespace: string
  readonly name: string
  readonly node: string
  readonly ready: boolean
  readonly terminating: boolean
  readonly restarts: number
  readonly addresses: readonly string[]
  readonly message: string
  readonly containers: readonly {readonly outputFile: string}[]
}

export interface SandboxNodeRow {
  readonly name: string
  readonly addresses: readonly string[]
  readonly podCidrs: readonly string[]
  readonly networkNamespace: string
  readonly daemon: string | null
  readonly daemonReady: boolean
}

export interface SandboxServiceRow {
  readonly namespace: string
  readonly name: string
  readonly clusterIPs: readonly string[]
  readonly ports: readonly number[]
}

const podState = (pod: SandboxPodRow): string => {
  if (pod.terminating) return 'Terminating'
  return pod.ready ? 'Ready' : 'NotReady'
}

export const sandboxPodColumns: readonly Column<SandboxPodRow>[] = [
  {header: 'NAMESPACE', value: (pod) => pod.namespace},
  {header: 'POD', value: (pod) => pod.name},
  {header: 'NODE', value: (pod) => pod.node},
  {header: 'STATE', value: podState},
  {header: 'RESTARTS', value: (pod) => pod.restarts, align: 'right'},
  {header: 'ADDRESSES', value: (pod) => pod.addresses.join(',')},
  {header: 'OUTPUT', value: (pod) => pod.containers.map(({outputFile}) => outputFile).join(',')},
  {header: 'MESSAGE', value: (pod) => pod.message},
]

export const sandboxNodeColumns: readonly Column<SandboxNodeRow>[] = [
  {header: 'NODE', value: (node) => node.name},
  {header: 'DAEMON', value: (node) => node.daemon},
  {header: 'READY', value: (node) => (node.daemonReady ? 'yes' : 'no')},
  {header: 'ADDRESSES', value: (node) => node.addresses.join(',')},
  {header: 'POD RANGES', value: (node) => node.podCidrs.join(',')},
  {header: 'NAMESPACE', value: (node) => node.networkNamespace},
]

export const sandboxServiceColumns: readonly Column<SandboxServiceRow>[] = [
  {header: 'NAMESPACE', value: (service) => service.namespace},
  {header: 'SERVICE', value: (service) => service.name},
  {header: 'ADDRESSES', value: (service) => service.clusterIPs.join(',')},
  {header: 'PORTS', value: (service) => service.ports.join(',')},
]
