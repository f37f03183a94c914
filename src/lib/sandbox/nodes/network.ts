// SPDX-License-Identifier: Apache-2.0
/** Makes and removes the network namespaces of a sandbox and what joins them. */
import {existsSync} from 'node:fs'
import {messageOf} from '../../errors.ts'
import type {Commands} from '../../ports.ts'
import {namespacePath, type SandboxPaths} from '../state.ts'
import type {Addresses, AddressPlan} from './addresses.ts'
import {cableLines, fabricLines, nodeLines, podLines, podLinkLines, podRouteLines} from './topology.ts'

/** Suffix of the namespace that joins the nodes. */
export const FABRIC = 'fabric'

/** Nodes route between pods; replies leave where the request came in, so nothing is redirected or filtered. */
const NODE_SETTINGS: Readonly<Record<string, string>> = {
  'ipv4/ip_forward': '1',
  'ipv4/conf/all/rp_filter': '0',
  'ipv4/conf/default/rp_filter': '0',
  'ipv4/conf/all/send_redirects': '0',
  'ipv4/conf/default/send_redirects': '0',
  'ipv6/conf/all/accept_dad': '0',
  'ipv6/conf/default/accept_dad': '0',
  'ipv6/conf/all/forwarding': '1',
}

/** As container runtimes have it: low ports and ping need no privilege inside a pod. */
const POD_SETTINGS: Readonly<Record<string, string>> = {
  'ipv4/ip_unprivileged_port_start': '0',
  'ipv4/ping_group_range': '0 2147483647',
}

/** Suffix of the namespace name of a node or pod (after the sandbox's prefix). */
export function nodeSuffix(node: string): string {
  return node
}

/** Begins with the uid, so that a pod never meets what is left of its namesake. */
export function podSuffix(namespace: string, name: string, uid: string): string {
  return `pod.${namespace}.${name.slice(0, 120)}.${uid.slice(0, 8)}`
}

export interface Network {
  /** Fabric and all nodes. */
  build(nodeNames: readonly string[]): Promise<void>
  nodeNamespace(node: string): string
  /** Path of the namespace, there or not. */
  podNamespace(pod: PodPlace): string
  addPod(node: {readonly name: string; readonly index: number}, pod: PodPlace): Promise<void>
  /** Takes away what is there of it. */
  removePod(node: string, pod: PodPlace): Promise<void>
}

export interface PodPlace {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly addresses: Addresses
}

/** Writes below /proc/sys/net, which shows the namespace of the process that looks. */
async function setSettings(
  commands: Commands,
  namespace: string,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const script = Object.entries(settings).map(([key, value]) => `echo ${value} > /proc/sys/net/${key}`)
  await commands.run({
    file: '/bin/sh',
    args: ['-e', '-c', script.join('\n')],
    namespacePath: namespace,
  })
}

export function createNetwork(commands: Commands, paths: SandboxPaths, plan: AddressPlan): Network {
  const full = (suffix: string): string => `${paths.namespacePrefix}${suffix}`
  const batch = (namespace: string, lines: readonly string[]): Promise<string> =>
    commands.run({file: 'ip', args: ['-n', namespace, '-batch', '-'], input: `${lines.join('\n')}\n`})
  const hostBatch = (lines: readonly string[]): Promise<string> =>
    commands.run({file: 'ip', args: ['-batch', '-'], input: `${lines.join('\n')}\n`})

  const podPath = (pod: PodPlace): string => namespacePath(paths, podSuffix(pod.namespace, pod.name, pod.uid))

  return {
    podNamespace: podPath,

    async build(nodeNames) {
      const all = [FABRIC, ...nodeNames.map(nodeSuffix)].map(full)
      await hostBatch(all.map((name) => `netns add ${name}`))
      const cables = nodeNames.flatMap((name, index) => cableLines(index + 1, full(nodeSuffix(name))))
      for (const name of nodeNames) {
        await setSettings(commands, namespacePath(paths, nodeSuffix(name)), NODE_SETTINGS)
      }
      await batch(full(FABRIC), [...fabricLines(), ...cables])
      for (const [index, name] of nodeNames.entries()) {
        await batch(full(nodeSuffix(name)), nodeLines(plan, index + 1, nodeNames.length))
      }
    },

    nodeNamespace: (node) => namespacePath(paths, nodeSuffix(node)),

    async addPod(node, pod) {
      const name = full(podSuffix(pod.namespace, pod.name, pod.uid))
      const nodeName = full(nodeSuffix(node.name))
      const link = linkName(pod.uid)
      await hostBatch([`netns add ${name}`])
      await batch(nodeName, podLinkLines(link, name))
      await batch(name, podLines(pod.addresses))
      await batch(nodeName, podRouteLines(link, pod.addresses, plan.nodeAddresses(node.index)))
      await setSettings(commands, podPath(pod), POD_SETTINGS)
    },

    /** The link goes first: an open descriptor may keep the namespace itself for a while. */
    async removePod(node, pod) {
      if (existsSync(podPath(pod))) {
        await batch(full(nodeSuffix(node)), [`link del ${linkName(pod.uid)}`]).catch(ignoreMissingLink)
        await hostBatch([`netns del ${full(podSuffix(pod.namespace, pod.name, pod.uid))}`])
      }
    },
  }
}

function linkName(uid: string): string {
  return `p${uid.replaceAll('-', '').slice(0, 12)}`
}

/** A link that was never made, or went with its other end. */
function ignoreMissingLink(error: unknown): void {
  if (!messageOf(error).includes('Cannot find device')) throw error
}
