// SPDX-License-Identifier: Apache-2.0
/** The Node object of a sandbox node, as its kubelet registers it. */
import {arch, release} from 'node:os'
import type {NodeObject} from '../../model/kube.ts'
import type {NodeContext} from './node-context.ts'

export const KUBELET_PORT = 10_250

export function nodeObject(node: NodeContext): NodeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: node.name,
      labels: {
        'kubernetes.io/hostname': node.name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture(),
      },
    },
    spec: {
      podCIDR: node.plan.podCidrs(node.index)[0] ?? '',
      podCIDRs: node.plan.podCidrs(node.index),
    },
  }
}

export function nodeStatus(node: NodeContext): NonNullable<NodeObject['status']> & Record<string, unknown> {
  const now = `${new Date(node.clock.nowMs()).toISOString().slice(0, 19)}Z`
  const resources = {pods: '253', cpu: '2', memory: '4Gi'}
  return {
    addresses: [
      ...node.addresses.map(({address}) => ({type: 'InternalIP', address})),
      {type: 'Hostname', address: node.name},
    ],
    capacity: resources,
    allocatable: resources,
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        reason: 'KubeletReady',
        message: `the sandbox runs this node, backend ${node.backend}${node.backend === 'memory' ? ': no traffic' : ''}`,
        lastTransitionTime: now,
      },
    ],
    daemonEndpoints: {kubeletEndpoint: {Port: KUBELET_PORT}},
    nodeInfo: {
      kubeletVersion: 'v1.33.0-kmeshctl-sandbox',
      kernelVersion: release(),
      operatingSystem: 'linux',
      architecture: architecture(),
      osImage: `kmeshctl sandbox (${node.backend})`,
      containerRuntimeVersion: 'process://1',
    },
  }
}

function architecture(): string {
  return arch() === 'x64' ? 'amd64' : arch()
}
