// SPDX-License-Identifier: Apache-2.0
/** Runs the pods that the API binds to one node. */
import {KmeshError, messageOf} from '../../errors.ts'
import {type Pod, RESOURCES} from '../../model/kube.ts'
import type {Informer, Informers} from '../../ports.ts'
import {type Addresses, FIRST_POD, LAST_POD} from './addresses.ts'
import {cniFolders, lendNode, makeCniFolders} from './cni-conflist.ts'
import type {NodeContext} from './node-context.ts'
import {ChainedPodNetwork, type PodNetwork, plainPodNetwork} from './pod-network.ts'
import {type AddressPool, PodWorker} from './pod-worker.ts'

export interface Kubelet {
  /** The running pod of that name, for port-forward and logs. */
  pod(namespace: string, name: string): PodWorker | undefined
  close(): void
}

export function startKubelet(node: NodeContext, informers: Informers): Kubelet {
  const workers = new Map<string, PodWorker>()
  const services = {pool: addressPool(node), network: podNetworkOf(node)}

  const finish = (worker: PodWorker, done: Promise<void>): void => {
    done
      .catch((error: unknown) => {
        const {namespace, name} = worker.facts
        node.log.error(`pod ${namespace}/${name}: cannot be taken away: ${messageOf(error)}`, {
          node: node.name,
        })
      })
      .finally(() => workers.delete(worker.facts.uid))
  }

  const informer: Informer<Pod> = informers.start<Pod>(RESOURCES.pods, {
    fieldSelector: `spec.nodeName=${node.name}`,
    handler: {
      onChange: (pod, previous) => {
        const uid = pod.metadata.uid ?? ''
        const replaced = previous && previous.metadata.uid !== uid && workers.get(previous.metadata.uid ?? '')
        if (replaced) finish(replaced, replaced.deleted())
        const worker = workers.get(uid) ?? startWorker(pod, uid)
        if (worker === undefined) return
        worker.update(pod)
        if (pod.metadata.deletionTimestamp !== undefined) finish(worker, worker.end(0))
      },
      onDelete: (pod) => {
        const worker = workers.get(pod.metadata.uid ?? '')
        if (worker !== undefined) finish(worker, worker.deleted())
      },
    },
  })

  function startWorker(pod: Pod, uid: string): PodWorker | undefined {
    try {
      const worker = new PodWorker(node, services, pod)
      workers.set(uid, worker)
      return worker
    } catch (error) {
      const {namespace, name} = pod.metadata
      node.log.error(`pod ${namespace}/${name}: cannot be started: ${messageOf(error)}`, {node: node.name})
      return undefined
    }
  }

  return {
    pod: (namespace, name) =>
      [...workers.values()].find(({facts}) => facts.namespace === namespace && facts.name === name),
    close: () => informer.close(),
  }
}

function podNetworkOf(node: NodeContext): PodNetwork {
  if (node.backend === 'memory') return plainPodNetwork(node)
  const folders = cniFolders(node.paths, node.name)
  makeCniFolders(folders)
  const [nodeProgram] = node.echoProgram
  if (nodeProgram !== undefined) lendNode(folders, nodeProgram)
  return new ChainedPodNetwork(node, folders)
}

/** Goes round, so that the address of a pod that just ended is not given to the next one at once. */
function addressPool(node: NodeContext): AddressPool {
  const used = new Set<number>()
  const size = LAST_POD - FIRST_POD + 1
  let next = 0
  return {
    take(): Addresses {
      for (let tries = 0; tries < size; tries += 1) {
        const number = FIRST_POD + (next++ % size)
        if (used.has(number)) continue
        used.add(number)
        return node.plan.podAddresses(node.index, number)
      }
      throw new KmeshError(`node ${node.name} has no free pod address (${size} are in use)`, {
        code: 'NoPodAddress',
      })
    },
    give(addresses) {
      const last = addresses[0]?.address.split(/[.:]/).at(-1) ?? ''
      used.delete(addresses[0]?.family === 'IPv6' ? Number.parseInt(last, 16) : Number(last))
    },
  }
}
