// SPDX-License-Identifier: Apache-2.0
/** Pods whose first act are connections to a service, and agents that stay away. */
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import type {KubeObject, Pod} from '../../src/lib/model/kube.ts'
import {eventually, type Json, PODS, type Sandbox, sandboxStatus, type World} from './harness.ts'

export const LABEL = {'istio.io/dataplane-mode': 'kmesh'}
const HOLD_EVERY_MS = 50

/** bash and ss: from the first instruction of the pod to its connect(2) it is a few milliseconds. */
function firstAct({ipv4, ipv6}: World): string {
  const connects = [ipv4, ipv6].map((address) => `exec 3<>/dev/tcp/${address}/80; ss -Htn`).join('; ')
  return `${connects}; echo over; exec sleep 600`
}

/** Creates a pod on `node` that connects to the service of the shop as its first act. */
export async function createClient(
  sandbox: Sandbox,
  world: World,
  name: string,
  labels: Readonly<Record<string, string>>,
  namespace = 'shop',
): Promise<void> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {name, namespace, labels},
    spec: {
      nodeName: 'node-1',
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 0,
      containers: [{name: 'main', image: 'bash', command: ['bash', '-c', firstAct(world)]}],
    },
  }
  await sandbox.kube.create({...PODS, namespace}, pod as KubeObject)
}

export async function podNamed(sandbox: Sandbox, name: string, namespace = 'shop'): Promise<Pod> {
  return await sandbox.kube.get<Pod>({...PODS, namespace, name})
}

/** Why its containers wait, else undefined. */
export async function waitingOf(sandbox: Sandbox, name: string): Promise<string | undefined> {
  const {status} = await podNamed(sandbox, name)
  const waiting = status?.containerStatuses?.[0]?.state?.waiting
  return waiting === undefined ? undefined : `${waiting.reason}: ${waiting.message}`
}

/** Peers of a pod's first connections, in their order: IPv4, IPv6. */
export async function firstPeers(
  sandbox: Sandbox,
  name: string,
  namespace = 'shop',
  limitMs = 30_000,
): Promise<string[]> {
  const text = await eventually(
    `first connections of ${name}`,
    async () => {
      const {pods} = await sandboxStatus(sandbox)
      const pod = (pods as Json[]).find((one) => one.namespace === namespace && one.name === name)
      const main = (pod?.containers as Json[] | undefined)?.find((container) => container.name === 'main')
      const output = main?.outputFile === undefined ? '' : readFileSync(main.outputFile, 'utf8')
      return output.includes('over') ? output : undefined
    },
    limitMs,
  )
  const peers = text.split('\n').map((line) => line.trim().split(/\s+/)[4] ?? '')
  return [...new Set(peers.filter((peer) => peer !== ''))]
}

async function daemonOf(sandbox: Sandbox, node: string): Promise<Json> {
  const {pods} = await sandboxStatus(sandbox)
  return (pods as Json[]).find((pod) => pod.namespace === 'kmesh-system' && pod.node === node)
}

export interface Absence extends AsyncDisposable {
  /** Lets the agent come up again, at once; resolves when it is ready. */
  end(): Promise<void>
}

/** SIGKILL for the agent whenever it comes up. */
export async function keepAway(sandbox: Sandbox, node: string): Promise<Absence> {
  const {name, containers} = await daemonOf(sandbox, node)
  const file = join(containers[0].cgroup, 'cgroup.kill')
  const stop = new AbortController()
  const kill = () => writeFileSync(file, '1')
  kill()
  const holding = (async () => {
    while (!stop.signal.aborted) {
      await sleep(HOLD_EVERY_MS)
      kill()
    }
  })()
  const release = async () => {
    stop.abort()
    await holding
  }
  return {
    end: async () => {
      await release()
      // A new pod starts without the back-off of this one.
      await sandbox.kube.delete({...PODS, namespace: 'kmesh-system', name})
      await agentReady(sandbox, node)
    },
    [Symbol.asyncDispose]: release,
  }
}

export async function agentReady(sandbox: Sandbox, node: string): Promise<number> {
  return await eventually(
    `agent of ${node}`,
    async () => {
      const daemon = await daemonOf(sandbox, node)
      return daemon?.ready === true ? (daemon.containers[0].pid as number) : undefined
    },
    30_000,
  )
}
