// SPDX-License-Identifier: Apache-2.0
/** The daemon of one node of a sandbox, started and ended by a test, in any version. */
import {execFileSync} from 'node:child_process'
import {join} from 'node:path'
import {type Pod, RESOURCES} from '../../src/lib/model/kube.ts'
import {eventually, type Json, nameOf, type Sandbox, sandboxStatus} from '../e2e/harness.ts'
import type {DaemonVersion} from './daemon-versions.ts'

const DAEMONS = {...RESOURCES.pods, namespace: 'kmesh-system'}
const START_MS = 30_000

export function isReadyPod({status}: Pod): boolean {
  return status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true
}

export class NodeDaemon {
  readonly #sandbox: Sandbox
  readonly #node: string
  readonly #template: Pod

  private constructor(sandbox: Sandbox, node: string, template: Pod) {
    this.#sandbox = sandbox
    this.#node = node
    this.#template = template
  }

  /** @param node - one that the sandbox gave no daemon; the pod will be as that of another node */
  static async of(sandbox: Sandbox, node: string): Promise<NodeDaemon> {
    const [template] = (await sandbox.kube.list<Pod>(DAEMONS)).items
    if (template === undefined) throw new Error('no other node has a daemon')
    return new NodeDaemon(sandbox, node, template)
  }

  get #path() {
    return {...DAEMONS, name: `kmesh-${this.#node}`}
  }

  /** Returns when it is Ready. */
  async start({program}: DaemonVersion): Promise<void> {
    const {metadata, spec} = this.#template
    const other = spec?.nodeName ?? ''
    const text = JSON.stringify({metadata: {name: `kmesh-${other}`, labels: metadata.labels}, spec})
    const pod = JSON.parse(text.replaceAll(other, this.#node)) as Json
    for (const container of pod.spec.containers) container.command = [program]
    await this.#sandbox.kube.create(DAEMONS, {...pod, apiVersion: 'v1', kind: 'Pod'})
    const {kube} = this.#sandbox
    await eventually(
      'the daemon is ready',
      async () => (isReadyPod(await kube.get<Pod>(this.#path)) ? true : undefined),
      START_MS,
    )
  }

  /** SIGTERM, or SIGKILL; returns when the pod is gone. */
  async end(isKilled: boolean): Promise<void> {
    const {kube} = this.#sandbox
    if (isKilled) process.kill(await this.#pid(), 'SIGKILL')
    await kube.delete(this.#path, isKilled ? {gracePeriodSeconds: 0} : {})
    await eventually(
      'the daemon is gone',
      async () => {
        const {items} = await kube.list<Pod>(DAEMONS)
        return items.some((pod) => nameOf(pod) === this.#path.name) ? undefined : true
      },
      START_MS,
    )
  }

  async #pid(): Promise<number> {
    const {pods} = await sandboxStatus(this.#sandbox)
    return (pods as Json[]).find((one) => one.name === this.#path.name).containers[0].pid
  }

  /** Of the programs on the node's cgroup. */
  linkIds(): number[] {
    const folder = `/run/kmeshctl/${this.#sandbox.name}/bpf/${this.#node}/bpf_kmesh_workload/sockconn`
    return ['sockconn_prog', 'sockconn6_prog'].map((name) => {
      const args = ['-j', 'link', 'show', 'pinned', join(folder, name)]
      return (JSON.parse(execFileSync('bpftool', args, {encoding: 'utf8'})) as {id: number}).id
    })
  }
}
