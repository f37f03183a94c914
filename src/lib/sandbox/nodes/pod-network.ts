// SPDX-License-Identifier: Apache-2.0
/** The network of a node's pods: the sandbox's own links, then the further plugins of the node's conflist. */
import {randomBytes} from 'node:crypto'
import {messageOf} from '../../errors.ts'
import {HOST_PREFIX} from './addresses.ts'
import {type CniFolders, type NetworkList, OWN_PLUGIN, readConflist} from './cni-conflist.ts'
import {type CniResult, callPlugin, type PluginCall} from './cni-program.ts'
import type {PodPlace} from './network.ts'
import type {NodeContext} from './node-context.ts'

export interface PodNetwork {
  /**
   * Leaves nothing of a pod whose network cannot be made.
   * @throws KmeshError of the plugin, the conflist or `ip`
   */
  add(pod: PodPlace): Promise<void>
  /** Takes away what is there of it. @returns what failed; a plugin never keeps a pod from ending */
  remove(pod: PodPlace): Promise<readonly string[]>
}

/** Without a kernel there is no namespace that a plugin could work on. */
export function plainPodNetwork(node: NodeContext): PodNetwork {
  return {
    add: (pod) => node.network.addPod(node, pod),
    remove: async (pod) => {
      await node.network.removePod(node.name, pod)
      return []
    },
  }
}

/** What an ADD was made with; its DEL gets the same. */
interface Attachment {
  readonly containerId: string
  readonly list: NetworkList
  /** Undefined while, and after, an ADD that did not come to its end. */
  readonly result: CniResult | undefined
}

export class ChainedPodNetwork implements PodNetwork {
  readonly #node: NodeContext
  readonly #folders: CniFolders
  /** By uid of the pod. */
  readonly #attachments = new Map<string, Attachment>()

  constructor(node: NodeContext, folders: CniFolders) {
    this.#node = node
    this.#folders = folders
  }

  async add(pod: PodPlace): Promise<void> {
    const list = readConflist(this.#folders.configDir)
    const containerId = randomBytes(32).toString('hex')
    this.#attachments.set(pod.uid, {containerId, list, result: undefined})
    try {
      const result = await this.#addAll(pod, list, containerId)
      this.#attachments.set(pod.uid, {containerId, list, result})
    } catch (error) {
      for (const problem of await this.remove(pod)) this.#node.log.warn(problem, {node: this.#node.name})
      throw error
    }
  }

  async #addAll(pod: PodPlace, list: NetworkList, containerId: string): Promise<CniResult | undefined> {
    let prevResult: CniResult | undefined
    for (const plugin of list.plugins) {
      if (plugin.type === OWN_PLUGIN) {
        await this.#node.network.addPod(this.#node, pod)
        prevResult = this.#ownResult(pod, list)
      } else {
        prevResult = await this.#call({
          ...this.#callOf(pod, list, containerId),
          command: 'ADD',
          plugin,
          prevResult,
        })
      }
    }
    return prevResult
  }

  /** In reverse order, to the last one whatever fails. */
  async remove(pod: PodPlace): Promise<readonly string[]> {
    const attachment = this.#attachments.get(pod.uid)
    this.#attachments.delete(pod.uid)
    const problems: string[] = []
    const {list, containerId, result} = attachment ?? {}
    const programs = (list?.plugins ?? []).filter(({type}) => type !== OWN_PLUGIN).reverse()
    for (const plugin of programs) {
      if (list === undefined || containerId === undefined) break
      const call = {
        ...this.#callOf(pod, list, containerId),
        command: 'DEL' as const,
        plugin,
        prevResult: result,
      }
      await this.#call(call).catch((error: unknown) => problems.push(messageOf(error)))
    }
    await this.#node.network
      .removePod(this.#node.name, pod)
      .catch((error: unknown) => problems.push(messageOf(error)))
    return problems
  }

  #callOf(
    pod: PodPlace,
    list: NetworkList,
    containerId: string,
  ): Pick<PluginCall, 'pod' | 'list' | 'containerId' | 'netns'> {
    return {pod, list, containerId, netns: this.#node.network.podNamespace(pod)}
  }

  #call(call: PluginCall): Promise<CniResult | undefined> {
    const {commands, namespacePath, paths} = this.#node
    return callPlugin({commands, namespacePath, programDir: this.#folders.programDir, mark: paths.name}, call)
  }

  #ownResult(pod: PodPlace, list: NetworkList): CniResult {
    return {
      cniVersion: list.cniVersion,
      interfaces: [{name: 'eth0', sandbox: this.#node.network.podNamespace(pod)}],
      ips: pod.addresses.map(({family, address}) => ({
        address: `${address}/${HOST_PREFIX[family]}`,
        interface: 0,
      })),
      routes: pod.addresses.map(({family}) => ({dst: family === 'IPv4' ? '0.0.0.0/0' : '::/0'})),
      dns: {},
    }
  }
}
