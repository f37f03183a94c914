// SPDX-License-Identifier: Apache-2.0
/** `interop status -w`: what is there, and then what changes: the API server tells at once, daemons are asked again and again. */
import {KmeshError} from '../errors.ts'
import {type InteropItem, type InteropPod, interopPod} from '../model/interop.ts'
import {interopCluster} from '../model/interop-sums.ts'
import {
  type EndpointSlice,
  type KubeObject,
  type Namespace,
  type Pod,
  RESOURCES,
  type Service,
} from '../model/kube.ts'
import {isLive} from '../model/plan-build.ts'
import type {FactsByNode} from '../model/plan-node.ts'
import {PodProjection} from '../model/pod-projection.ts'
import type {ReportError} from '../model/report.ts'
import type {Informer, InformerHandler, InformerOptions, Informers, ResourcePath} from '../ports.ts'
import {type InteropDeps, type InteropRequest, namespaceItems, readFacts, serviceItems} from './interop.ts'

export interface InteropEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  /** Of what is gone: as it was last. */
  readonly item: InteropItem
}

export interface WatchDeps extends InteropDeps {
  readonly informers: Informers
}

export interface InteropWatchRequest extends InteropRequest {
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

/** A list that is followed. */
interface Source {
  readonly path: ResourcePath
  readonly informer: Informer<KubeObject>
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
  private readonly services: Informer<Service> | undefined
  private readonly slices: Informer<EndpointSlice> | undefined
  private readonly sources: Source[] = []
  private shown = new Map<string, Shown>()
  private readonly notes = new Map<string, string>()
  private wake: () => void = () => undefined
  private isDirty = false

  constructor(deps: WatchDeps, request: InteropWatchRequest) {
    this.deps = deps
    this.request = request
    const {namespace, selector, by} = request
    const ofServices = by === 'service'
    const fieldSelector = namespace === undefined ? undefined : `metadata.name=${namespace}`
    this.namespaces = this.follow<Namespace>(RESOURCES.namespaces, {fieldSelector})
    this.pods = this.follow<Pod>(
      {...RESOURCES.pods, namespace},
      {labelSelector: ofServices ? undefined : selector, transform: new PodProjection().project},
    )
    if (!ofServices) return
    this.services = this.follow<Service>(
      {...RESOURCES.services, namespace},
      {labelSelector: selector, transform: named},
    )
    this.slices = this.follow<EndpointSlice>({...RESOURCES.endpointslices, namespace}, {})
  }

  /** All lists are there. One that fails is asked for once more, so that its failure has its own kind. */
  async synced(): Promise<void> {
    for (const {informer, path} of this.sources) {
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
    for (const {informer} of this.sources) informer.close()
  }

  private follow<T extends KubeObject>(
    path: ResourcePath,
    options: Omit<InformerOptions<T>, 'handler'>,
  ): Informer<T> {
    const onChange = (): void => {
      this.isDirty = true
      this.wake()
    }
    const handler: InformerHandler<T> = {onChange, onDelete: onChange, onSynced: onChange}
    const informer = this.deps.informers.start<T>(path, {...options, handler})
    this.sources.push({path, informer})
    return informer
  }

  private items(facts: FactsByNode): readonly InteropItem[] {
    const nowMs = this.deps.clock.nowMs()
    const {by, selector} = this.request
    const namespaces = [...this.namespaces.values()]
    const byName = new Map(namespaces.map((item) => [item.metadata.name ?? '', item]))
    const views = this.live().map((pod) =>
      interopPod(pod, byName.get(pod.metadata.namespace ?? ''), facts, nowMs),
    )
    if (this.services !== undefined && this.slices !== undefined)
      return serviceItems([...this.services.values()], [...this.slices.values()], views)
    if (by === 'cluster') return [interopCluster(views, namespaces.length)]
    const podsOf: ReadonlyMap<string, InteropPod[]> = Map.groupBy(views, ({namespace}) => namespace)
    const shown =
      selector === undefined ? namespaces : namespaces.filter(({metadata}) => podsOf.has(metadata.name ?? ''))
    return namespaceItems(shown, podsOf, by === 'pod')
  }

  private live(): readonly Pod[] {
    return [...this.pods.values()].filter(isLive)
  }

  /** Each trouble once, and its end. */
  private tell(errors: readonly ReportError[]): void {
    const now = new Map(errors.map(({node, message}) => [node ?? 'daemons', message]))
    for (const {path, informer} of this.sources) {
      if (informer.problem !== undefined) now.set(`watch of ${path.resource}`, informer.problem)
    }
    for (const [place, message] of now) {
      if (this.notes.get(place) !== message) this.request.onNote(`${place}: ${message}`)
    }
    for (const place of this.notes.keys()) if (!now.has(place)) this.request.onNote(`${place}: works again`)
    this.notes.clear()
    for (const [place, message] of now) this.notes.set(place, message)
  }
}

/** Nothing else of a service is shown. */
function named({metadata: {name, namespace}}: Service): Service {
  return {metadata: {name, namespace}} as Service
}

/** What is compared: all but the name, and the age, which always changes. */
function printOf(item: InteropItem): string {
  return JSON.stringify({...item, namespace: undefined, name: undefined, intentAgeMs: undefined})
}
