// SPDX-License-Identifier: Apache-2.0
/** Writes one annotation on pods, such as the claim `kmesh.net/redirection`, until it worked. */
import {KubeStatusError, messageOf} from '../errors.ts'
import {isAnnotatedCaptured, REDIRECTION_ANNOTATION, REDIRECTION_ENABLED} from '../model/enrollment.ts'
import {RESOURCES} from '../model/kube.ts'
import type {Clock, Kube, Log} from '../ports.ts'
import type {PodRecord} from './pod-record.ts'

const PARALLEL_PATCHES = 4
const FIRST_RETRY_MS = 200
const LAST_RETRY_MS = 30_000
const REQUEST_TIMEOUT_MS = 10_000

export interface PodName {
  readonly namespace: string
  readonly pod: string
  readonly uid: string
}

interface Task extends PodName {
  readonly value: string | null
  readonly attempts: number
}

export class Annotator {
  readonly #kube: Kube
  readonly #clock: Clock
  readonly #log: Log
  readonly #annotation: string
  /** Newest wish by uid. */
  readonly #wishes = new Map<string, Task>()
  /** Written, and not yet seen in the watch. */
  readonly #written = new Map<string, string | null>()
  readonly #running = new Set<string>()
  readonly #waiting = new Set<string>()
  readonly #problems = new Map<string, string>()

  constructor(kube: Kube, clock: Clock, log: Log, annotation: string = REDIRECTION_ANNOTATION) {
    this.#annotation = annotation
    this.#kube = kube
    this.#clock = clock
    this.#log = log
  }

  /** Wants the annotation to be `value`, null: absent; `shown` is what the watch says it is. */
  want(name: PodName, value: string | null, shown: string | null): void {
    if (this.#written.get(name.uid) === shown) this.#written.delete(name.uid)
    if (this.#known(name.uid, shown) === value) return
    this.#wishes.set(name.uid, {...name, value, attempts: 0})
    this.#next()
  }

  /** The pod is gone. */
  forget(uid: string): void {
    this.#wishes.delete(uid)
    this.#written.delete(uid)
    this.#problems.delete(uid)
  }

  /** Pods whose annotation could not be written so far, with the reason. */
  problems(): readonly string[] {
    return [...this.#problems.values()]
  }

  #known(uid: string, shown: string | null): string | null {
    const wish = this.#wishes.get(uid)
    if (wish !== undefined) return wish.value
    const written = this.#written.get(uid)
    return written === undefined ? shown : written
  }

  #next(): void {
    for (const [uid, task] of this.#wishes) {
      if (this.#running.size >= PARALLEL_PATCHES) return
      if (this.#running.has(uid) || this.#waiting.has(uid)) continue
      this.#running.add(uid)
      void this.#run(task)
    }
  }

  async #run(task: Task): Promise<void> {
    const {uid, value} = task
    let delayMs = 0
    try {
      await this.#patch(task)
      this.#settle(task)
      this.#written.set(uid, value)
    } catch (error) {
      delayMs = this.#afterFailure(task, error)
    }
    this.#running.delete(uid)
    if (delayMs > 0) {
      this.#waiting.add(uid)
      this.#clock.after(delayMs, () => {
        this.#waiting.delete(uid)
        this.#next()
      })
    }
    this.#next()
  }

  async #patch({namespace, pod, uid, value}: Task): Promise<void> {
    const annotations = {[this.#annotation]: value}
    const path = {...RESOURCES.pods, namespace, name: pod}
    await this.#kube.mergePatch(path, {metadata: {uid, annotations}}, {timeoutMs: REQUEST_TIMEOUT_MS})
  }

  /** Returns after which time to try again; 0 where there is nothing left to do. */
  #afterFailure(task: Task, error: unknown): number {
    const status = error instanceof KubeStatusError ? error.status : 0
    if (status === 404) {
      this.#settle(task)
      return 0
    }
    const attempts = task.attempts + 1
    const text = `pod ${task.namespace}/${task.pod}: cannot write the annotation: ${messageOf(error)}`
    if (attempts === 1) this.#log.warn(`${text}; trying again`)
    this.#problems.set(task.uid, text)
    const current = this.#wishes.get(task.uid)
    if (current === undefined) return 0
    this.#wishes.set(task.uid, {...current, attempts})
    return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts - 1, 10))
  }

  /** Done, unless somebody wished for something else meanwhile. */
  #settle(task: Task): void {
    this.#problems.delete(task.uid)
    if (this.#wishes.get(task.uid)?.value === task.value) this.#wishes.delete(task.uid)
  }
}

/** Lets the pod's annotation say what the kernel says. */
export function claim(annotator: Annotator, {pod, uid, captured}: PodRecord): void {
  const {namespace = '', name = '', annotations} = pod.metadata
  const shown = isAnnotatedCaptured(annotations) ? REDIRECTION_ENABLED : null
  annotator.want({namespace, pod: name, uid}, captured ? REDIRECTION_ENABLED : null, shown)
}
