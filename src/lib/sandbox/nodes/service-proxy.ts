// SPDX-License-Identifier: Apache-2.0
/** Keeps the service rules of all nodes equal to Services and EndpointSlices. */
import {messageOf} from '../../errors.ts'
import {type EndpointSlice, RESOURCES, type Service} from '../../model/kube.ts'
import type {Clock, Commands, Informers, Log} from '../../ports.ts'
import type {Addresses, AddressPlan, Family} from './addresses.ts'
import {baseRules, serviceRules} from './service-rules.ts'

/** Changes that come together are written together. */
const GATHER_MS = 20
const RETRY_MS = 500

/** The nft backend by name: rules of the legacy one would be a second set beside it. */
const RESTORE: Readonly<Record<Family, string>> = {
  IPv4: 'iptables-nft-restore',
  IPv6: 'ip6tables-nft-restore',
}

export interface ProxyNode {
  readonly name: string
  readonly namespacePath: string
  readonly addresses: Addresses
}

export interface ProxyOptions {
  readonly nodes: readonly ProxyNode[]
  readonly plan: AddressPlan
  readonly informers: Informers
  readonly commands: Commands
  readonly clock: Clock
  readonly log: Log
}

export interface ServiceProxy {
  close(): void
}

/** Resolves when the chains stand; services follow. */
export async function startServiceProxy(options: ProxyOptions): Promise<ServiceProxy> {
  const {nodes, plan, informers, commands, clock, log} = options
  await forEachFamily((node, family, index) =>
    restore(node, family, baseRules({serviceCidr: plan.serviceCidrs[index] ?? ''})),
  )

  const stopping = new AbortController()
  let isWanted = false
  let isWriting = false
  const written = new Map<string, string>()
  const changed = (): void => {
    isWanted = true
    if (!isWriting) void write()
  }
  const handler = {onChange: changed, onDelete: changed}
  const services = informers.start<Service>(RESOURCES.services, {handler})
  const slices = informers.start<EndpointSlice>(RESOURCES.endpointslices, {handler})

  async function write(): Promise<void> {
    isWriting = true
    while (isWanted && !stopping.signal.aborted) {
      await clock.sleep(GATHER_MS)
      isWanted = false
      try {
        await forEachFamily(writeNode)
      } catch (error) {
        if (stopping.signal.aborted) return
        log.error(`service rules cannot be written: ${messageOf(error)}`)
        isWanted = true
        await clock.sleep(RETRY_MS)
      }
    }
    isWriting = false
  }

  async function writeNode(node: ProxyNode, family: Family, index: number): Promise<void> {
    const rules = serviceRules({
      family,
      services: [...services.values()],
      slices: [...slices.values()],
      serviceCidr: plan.serviceCidrs[index] ?? '',
      nodeAddress: node.addresses[index]?.address ?? '',
    })
    const key = `${node.name} ${family}`
    if (written.get(key) === rules) return
    await restore(node, family, rules)
    written.set(key, rules)
  }

  async function restore(node: ProxyNode, family: Family, rules: string): Promise<void> {
    await commands.run({
      file: RESTORE[family],
      args: ['--noflush', '--wait', '5'],
      input: rules,
      namespacePath: node.namespacePath,
    })
  }

  async function forEachFamily(
    run: (node: ProxyNode, family: Family, index: number) => Promise<void>,
  ): Promise<void> {
    await Promise.all(nodes.flatMap((node) => plan.families.map((family, index) => run(node, family, index))))
  }

  return {
    close: () => {
      stopping.abort()
      services.close()
      slices.close()
    },
  }
}
