// SPDX-License-Identifier: Apache-2.0
/** Events about one pod, as its kubelet tells them: one object a message, counted. */
import {RESOURCES} from '../../model/kube.ts'
import type {NodeContext} from './node-context.ts'
import type {PodFacts} from './pod-facts.ts'

export class PodEvents {
  readonly #node: NodeContext
  readonly #facts: PodFacts
  #last: {readonly name: string; readonly text: string; count: number} | undefined

  constructor(node: NodeContext, facts: PodFacts) {
    this.#node = node
    this.#facts = facts
  }

  /** @throws KubeStatusError, UnreachableError */
  async warn(reason: string, message: string): Promise<void> {
    const {namespace, name} = this.#facts
    const nowMs = this.#node.clock.nowMs()
    const now = `${new Date(nowMs).toISOString().slice(0, 19)}Z`
    const path = {...RESOURCES.events, namespace}
    const text = `${reason}: ${message}`
    if (this.#last?.text === text) {
      this.#last.count += 1
      const change = {count: this.#last.count, lastTimestamp: now}
      await this.#node.kube.mergePatch({...path, name: this.#last.name}, change)
      return
    }
    const event = `${name.slice(0, 200)}.${nowMs.toString(16)}`
    this.#last = {name: event, text, count: 1}
    await this.#node.kube.create(path, {...this.#object(event, now), reason, message})
  }

  #object(event: string, now: string) {
    const {namespace, name, uid} = this.#facts
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {name: event, namespace},
      involvedObject: {apiVersion: 'v1', kind: 'Pod', namespace, name, uid},
      type: 'Warning',
      source: {component: 'kubelet', host: this.#node.name},
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    }
  }
}
