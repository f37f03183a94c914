// SPDX-License-Identifier: Apache-2.0
/** `interop status -w`: what is there, and then what changes: the API server tells at once, daemons are asked again and again. */
import {KmeshError} from '../errors.ts'
import {type InteropItem, type InteropPod, interopPod} from '../model/interop.ts'
import {interopCluster} from '../model/interop-sums.ts'
import {type KubeObject, type Namespace, type Pod, RESOURCES} from '../model/kube.ts'
import {isLive} from '../model/plan-build.ts'
import type {FactsByNode} from '../model/plan-node.ts'
import {PodProjection} from '../model/pod-projection.ts'
import type {ReportError} from '../model/report.ts'
import type {Informer, InformerHandler, Informers, ResourcePath} from '../ports.ts'
import {type InteropDeps, type InteropRequest, namespaceItems, readFacts} from './interop.ts'

export interface InteropEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  /** Of what is gone: as it was last. */
  readonly item: InteropItem
}

export interface WatchDeps extends InteropDeps {
  readonly informers: Informers
}

export interface InteropWatchRequest extends InteropRequest {
  readonly by: Exclude<InteropRequest['by'], 'service'>
  /** Between two rounds of asking the daemons. */
  readonly intervalMs: number
  /** For people: a watch that is down, a daemon that does not answer, and when they are back. */
  readonly onNote: (text: string) => void
}

/** Changes of the API server that come together are shown together. */
const GATHER_MS = 250

/**
 * Everything that is there as `ADDED`, then what changes, until the signal is aborted; ages alone are no change.
 *
 * @throws the signal's reason; what the API server answers when it cannot even be listed
 */
export async function* interopEvents(
  deps: WatchDeps,
  request: InteropWatchRequest,
): AsyncGenerator<readonly InteropEvent[], never, undefined> {
  const view = new View(deps, request)
  try {
    await view.synced()
    let [facts, askedMs] = [await view.ask(), deps.clock.monotonicMs()]
    for (;;) {
      const events = view.compare(facts)
      if (events.length > 0) yield events
      await view.changedOr(askedMs + request.intervalMs - deps.clock.monotonicMs())
      if (deps.clock.monotonicMs() - askedMs < request.intervalMs) continue
      facts = await view.ask()
      askedMs = deps.clock.monotonicMs()
    }
  } finally {
    view.close()
  }
}

interface Shown {
  readonly item: InteropItem
  readonly print: string
}

class View {
  private readonly deps: WatchDeps
  private readonly request: InteropWatchRequest
  private readonly pods: Informer<Pod>
  private readonly namespaces: Informer<Namespace>
  private shown = new Map<string, Shown>()
  private readonly notes = new Map<string, string>()
  private wake: () => void = () => undefined
  private isDirty = false

  constructor(deps: WatchDeps, request: InteropWatchRequest) {
    this.deps = deps
    this.request = request
    const {namespace, selector: labelSelector} = request
    const {project} = new PodProjection()
    const onChange = (): void => {
      this.isDirty = true
      this.wake()
    }
    const handler: InformerHandler<KubeObject> = {onChange, onDelete: onChange, onSynced: onChange}
    const {informers} = deps
    const fieldSelector = namespace === undefined ? undefined : `metadata.name=${namespace}`
    this.namespaces = informers.start<Namespace>(RESOURCES.namespaces, {handler, fieldSelector})
    this.pods = informers.start<Pod>(this.podsPath(), {handler, labelSelector, transform: project})
  }

  /** Both lists are there. A list that fails is asked for once more, so that its failure has its own kind. */
  async synced(): Promise<void> {
    const sources: readonly (readonly [Informer<KubeObject>, ResourcePath])[] = [
      [this.namespaces, RESOURCES.namespaces],
      [this.pods, this.podsPath()],
    ]
    for (const [informer, path] of sources) {
      while (!informer.synced) {
        await this.deps.clock.sleep(GATHER_MS / 5, this.deps.signal)
        if (informer.synced || informer.problem === undefined) continue
        await this.deps.kube.list(path, {signal: this.deps.signal, metadataOnly: true})
        throw new KmeshError(informer.problem, {code: 'WatchFailed'})
      }
    }
  }

  async ask(): Promise<FactsByNode> {
    const {byNode, errors} = await readFacts(this.deps, this.request, this.live())
    this.tell(errors)
    return byNode
  }

  /** Waits for a change, and then for those that come with it, at most `delayMs`. */
  async changedOr(delayMs: number): Promise<void> {
    const {clock, signal} = this.deps
    const untilMs = clock.monotonicMs() + Math.max(0, delayMs)
    const stop = new AbortController()
    const ended = AbortSignal.any([signal, stop.signal])
    const change = new Promise<void>((resolve) => {
      this.wake = resolve
    })
    const pause = clock.sleep(Math.max(0, delayMs), ended).catch(() => undefined)
    if (!this.isDirty) await Promise.race([change, pause])
    stop.abort()
    signal.throwIfAborted()
    if (this.isDirty)
      await clock.sleep(Math.max(0, Math.min(GATHER_MS, untilMs - clock.monotonicMs())), signal)
  }

  compare(facts: FactsByNode): readonly InteropEvent[] {
    this.isDirty = false
    const events: InteropEvent[] = []
    const next = new Map<string, Shown>()
    const prints = new Map<string, string>()
    for (const item of this.items(facts)) {
      const key = `${item.kind} ${item.namespace}/${item.name}`
      const text = printOf(item)
      const print = prints.get(text) ?? text
      prints.set(print, print)
      const before = this.shown.get(key)
      if (before?.print !== print) events.push({type: before === undefined ? 'ADDED' : 'MODIFIED', item})
      next.set(key, before?.print === print ? before : {item, print})
    }
    for (const [key, {item}] of this.shown) if (!next.has(key)) events.push({type: 'DELETED', item})
    this.shown = next
    return events
  }

  close(): void {
    this.namespaces.close()
    this.pods.close()
  }

  private items(facts: FactsByNode): readonly InteropItem[] {
    const nowMs = this.deps.clock.nowMs()
    const {by, selector} = this.request
    const namespaces = [...this.namespaces.values()]
    const byName = new Map(namespaces.map((item) => [item.metadata.name ?? '', item]))
    const views = this.live().map((pod) =>
      interopPod(pod, byName.get(pod.metadata.namespace ?? ''), facts, nowMs),
    )
    if (by === 'cluster') return [interopCluster(views, namespaces.length)]
    const podsOf: ReadonlyMap<string, InteropPod[]> = Map.groupBy(views, ({namespace}) => namespace)
    const shown =
      selector === undefined ? namespaces : namespaces.filter(({metadata}) => podsOf.has(metadata.name ?? ''))
    return namespaceItems(shown, podsOf, by === 'pod')
  }

  private live(): readonly Pod[] {
    return [...this.pods.values()].filter(isLive)
  }

  private podsPath(): ResourcePath {
    return {...RESOURCES.pods, namespace: this.request.namespace}
  }

  /** Each trouble once, and its end. */
  private tell(errors: readonly ReportError[]): void {
    const now = new Map(errors.map(({node, message}) => [node ?? 'daemons', message]))
    for (const [name, informer] of [
      ['watch of pods', this.pods],
      ['watch of namespaces', this.namespaces],
    ] as const) {
      if (informer.problem !== undefined) now.set(name, informer.problem)
    }
    for (const [place, message] of now) {
      if (this.notes.get(place) !== message) this.request.onNote(`${place}: ${message}`)
    }
    for (const place of this.notes.keys()) if (!now.has(place)) this.request.onNote(`${place}: works again`)
    this.notes.clear()
    for (const [place, message] of now) this.notes.set(place, message)
  }
}

/** What is compared: all but the name, and the age, which always changes. */
function printOf(item: InteropItem): string {
  return JSON.stringify({...item, namespace: undefined, name: undefined, intentAgeMs: undefined})
}
