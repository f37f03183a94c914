// SPDX-License-Identifier: Apache-2.0
/** One pod with a sidecar, as the API server has it, and the agents that follow it. Its namespace has cookie 7. */
import type {Enroller} from '../../src/lib/agent/enroll.ts'
import type {Pod} from '../../src/lib/model/kube.ts'
import {Crash} from './crash.ts'
import {createWorld} from './enroll-world.ts'
import {pod} from './fakes.ts'

export const MODE = 'istio.io/dataplane-mode'
export const BYPASS = 'kmesh.net/bypass'
export const ENROLLED = {[MODE]: 'kmesh'}
export const SHORT = {[BYPASS]: 'enabled'}
const SIDECAR = {'sidecar.istio.io/status': '{}'}

export class BypassStage {
  readonly world = createWorld()
  agent: Enroller | undefined
  pod: Pod

  constructor(labels: Readonly<Record<string, string>> = {}) {
    this.world.namespaces.set('shop', {})
    this.world.node.run('uid-a', 7n)
    this.pod = pod('shop/a', ['10.0.0.1'], {labels, annotations: SIDECAR})
    this.world.kube.onAnnotations = (_key, annotations) => void setImmediate(() => this.annotate(annotations))
  }

  async start(crash = new Crash(), settleMs = 5000): Promise<Enroller> {
    const agent = this.world.start('live', true, crash)
    this.agent = agent
    agent.podChanged(this.pod)
    agent.start()
    await this.world.clock.advance(settleMs)
    return agent
  }

  /** The agent is no more; what it still has under way reaches nothing. */
  stop(): void {
    this.agent?.stop()
    this.agent = undefined
  }

  async label(labels: Readonly<Record<string, string>>, settleMs = 5000): Promise<void> {
    this.#change({labels})
    await this.world.clock.advance(settleMs)
  }

  annotate(changes: Readonly<Record<string, string | null>>): void {
    const merged = Object.entries({...this.pod.metadata.annotations, ...changes})
    const annotations = Object.fromEntries(
      merged.filter((entry): entry is [string, string] => entry[1] !== null),
    )
    this.#change({annotations})
  }

  /** A container has started. */
  restartContainer(name: string, containerID: string): void {
    const status = {name, ready: true, restartCount: 0, containerID}
    this.pod = {...this.pod, status: {...this.pod.status, initContainerStatuses: [status]}}
    this.agent?.podChanged(this.pod)
  }

  /** `captured`, `rules`, `annotation=...`, as they are. */
  state(): string {
    const {cookies, rules} = this.world
    const annotation = this.pod.metadata.annotations?.['kmesh.net/sidecar-bypass']
    return [
      ...(cookies().includes('7') ? ['captured'] : []),
      ...(rules.whole.has('7') && !rules.broken.has('7') ? ['rules'] : []),
      ...(annotation === undefined ? [] : [`annotation=${annotation}`]),
    ].join(' ')
  }

  #change(metadata: Partial<Pod['metadata']>): void {
    this.pod = {...this.pod, metadata: {...this.pod.metadata, ...metadata}}
    this.agent?.podChanged(this.pod)
  }
}
