// SPDX-License-Identifier: Apache-2.0
/** Follows pods until the kernel, or else the annotation, says what the plan says. */
import {isAnnotatedCaptured} from '../model/enrollment.ts'
import {type Pod, RESOURCES} from '../model/kube.ts'
import type {PodPlan} from '../model/plan.ts'
import {isLive} from '../model/plan-build.ts'
import type {WaitLevel} from '../model/plan-node.ts'
import type {WaitProgress} from '../model/plan-progress.ts'
import type {Admin, Clock, Kube} from '../ports.ts'

export interface WaitPod {
  readonly pod: PodPlan
  /** How far it is followed; `label` needs no waiting. */
  readonly level: Exclude<WaitLevel, 'label'>
}

export interface WaitRequest {
  readonly pods: readonly WaitPod[]
  readonly kube: Kube
  /** Of every node with pods of level `kernel`. */
  readonly admins: ReadonlyMap<string, Admin>
  readonly clock: Clock
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly onProgress: (progress: WaitProgress) => void
}

export interface WaitResult {
  /** By uid. */
  readonly reached: ReadonlySet<string>
  /** Deleted, replaced or ended meanwhile. */
  readonly gone: ReadonlySet<string>
  /** Neither reached nor gone when the wait ended. */
  readonly pending: readonly PodPlan[]
  /** By node or `namespace/name`: the failure of the last look, where the last look failed. */
  readonly problems: ReadonlyMap<string, unknown>
  readonly elapsedMs: number
}

const FIRST_PAUSE_MS = 100
const KERNEL_PAUSE_MS = 1000
const LIST_PAUSE_MS = 2000
const SLOWER = 1.5

/** Ends when every pod is settled, at the deadline, or when the signal is aborted; never throws for one source. */
export async function waitForPods(request: WaitRequest): Promise<WaitResult> {
  const wait = new Wait(request)
  const stopTimer = request.clock.after(request.timeoutMs, () => wait.stop())
  const onAbort = (): void => wait.stop()
  request.signal.addEventListener('abort', onAbort)
  if (request.signal.aborted) wait.stop()
  try {
    await wait.run()
  } finally {
    stopTimer()
    request.signal.removeEventListener('abort', onAbort)
  }
  return wait.result()
}

class Wait {
  private readonly request: WaitRequest
  private readonly startMs: number
  private readonly pending: Map<string, WaitPod>
  private readonly reached = new Set<string>()
  private readonly gone = new Set<string>()
  private readonly problems = new Map<string, unknown>()
  private readonly ended = new AbortController()
  private readonly whenEnded = new Promise<void>((resolve) => {
    this.ended.signal.addEventListener('abort', () => resolve(), {once: true})
  })

  constructor(request: WaitRequest) {
    this.request = request
    this.startMs = request.clock.monotonicMs()
    this.pending = new Map(request.pods.map((item) => [item.pod.uid, item]))
  }

  stop(): void {
    this.ended.abort()
  }

  async run(): Promise<void> {
    this.tell()
    const {pods} = this.request
    const nodes = Map.groupBy(pods.filter(isOfKernel), ({pod}) => pod.node ?? '')
    const namespaces = Map.groupBy(pods, ({pod}) => pod.namespace)
    await Promise.all([
      ...[...nodes].map(([node, items]) =>
        this.poll(node, items, FIRST_PAUSE_MS, KERNEL_PAUSE_MS, () => this.askNode(node, items)),
      ),
      ...[...namespaces].map(([namespace, items]) => {
        const firstMs = items.every(isOfKernel) ? LIST_PAUSE_MS : FIRST_PAUSE_MS
        return this.poll(`namespace/${namespace}`, items, firstMs, LIST_PAUSE_MS, () =>
          this.list(namespace, items),
        )
      }),
    ])
  }

  result(): WaitResult {
    const {reached, gone, problems} = this
    const pending = [...this.pending.values()].map(({pod}) => pod)
    return {reached, gone, pending, problems, elapsedMs: this.request.clock.monotonicMs() - this.startMs}
  }

  /** Looks again and again, less often each time, until none of its pods is pending or the wait has ended. */
  private async poll(
    source: string,
    items: readonly WaitPod[],
    firstPauseMs: number,
    maxPauseMs: number,
    look: () => Promise<void>,
  ): Promise<void> {
    const isOpen = (): boolean => !this.ended.signal.aborted && this.pendingOf(items).length > 0
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * SLOWER, maxPauseMs)) {
      await this.request.clock.sleep(pauseMs, this.ended.signal).catch(() => undefined)
      if (!isOpen()) return
      const looked = look().then(
        () => this.problems.delete(source),
        (thrown: unknown) => this.ended.signal.aborted || this.problems.set(source, thrown),
      )
      // An interrupt must not wait for a server that is slow to notice it.
      await Promise.race([looked, this.whenEnded])
    }
  }

  private async askNode(node: string, items: readonly WaitPod[]): Promise<void> {
    const admin = this.request.admins.get(node)
    if (admin === undefined) throw new Error(`no admin endpoint of node ${node} is open`)
    const entries = await admin.call('enrollment', {}, {signal: this.ended.signal})
    const captured = new Map(entries.map((entry) => [entry.uid, entry.captured]))
    // A pod that the agent does not list is not in the kernel.
    this.settle(items, ({pod}) => (captured.get(pod.uid) ?? false) === pod.after.intent)
  }

  /** Reads annotations, and finds pods that went away, which no daemon would ever settle. */
  private async list(namespace: string, items: readonly WaitPod[]): Promise<void> {
    const path = {...RESOURCES.pods, namespace}
    const list = await this.request.kube.list<Pod>(path, {signal: this.ended.signal})
    const byUid = new Map(list.items.filter(isLive).map((pod) => [pod.metadata.uid ?? '', pod]))
    for (const item of this.pendingOf(items)) {
      if (!byUid.has(item.pod.uid)) this.gone.add(item.pod.uid)
    }
    const claims = (item: WaitPod): boolean =>
      isAnnotatedCaptured(byUid.get(item.pod.uid)?.metadata.annotations) === item.pod.after.intent
    this.settle(items, (item) => !isOfKernel(item) && !this.gone.has(item.pod.uid) && claims(item))
  }

  private settle(items: readonly WaitPod[], isReached: (item: WaitPod) => boolean): void {
    const before = this.pending.size
    for (const item of this.pendingOf(items)) {
      const {uid} = item.pod
      if (isReached(item)) this.reached.add(uid)
      if (this.reached.has(uid) || this.gone.has(uid)) this.pending.delete(uid)
    }
    if (this.pending.size !== before) this.tell()
    if (this.pending.size === 0) this.stop()
  }

  private pendingOf(items: readonly WaitPod[]): WaitPod[] {
    return items.filter((item) => this.pending.has(item.pod.uid))
  }

  private tell(): void {
    this.request.onProgress({
      total: this.request.pods.length,
      reached: this.reached.size,
      gone: this.gone.size,
      pending: [...this.pending.values()].map(({pod}) => `${pod.namespace}/${pod.name}`),
      elapsedMs: this.request.clock.monotonicMs() - this.startMs,
    })
  }
}

function isOfKernel(item: WaitPod): boolean {
  return item.level === 'kernel' || item.level === 'memory'
}
