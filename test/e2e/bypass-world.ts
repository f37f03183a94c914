// SPDX-License-Identifier: Apache-2.0
/** Pods with sidecars whose short-circuit is watched: rules, kernel map, annotations, the agent's word; all must agree. */
import assert from 'node:assert/strict'
import {readdirSync, readFileSync} from 'node:fs'
import {get} from 'node:http'
import {Socket} from 'node:net'
import {join} from 'node:path'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import type {EnrollmentEntry} from '../../src/lib/model/api.ts'
import {type KubeObject, type Pod, RESOURCES} from '../../src/lib/model/kube.ts'
import {type Backend, type PodRules, rulesIn, standingIn} from './bypass-rules.ts'
import {eventually, type Json, nameOf, pinOf, run} from './harness.ts'
import {type Handler, type PodName, SidecarWorld} from './sidecar-world.ts'

export const DATAPLANE = 'istio.io/dataplane-mode'
export const BYPASS = 'kmesh.net/bypass'
export const INJECTION = {'istio-injection': 'enabled'}
export const NODE = 'node-1'
const ADMIN_PORT = 15_200
const LIMIT_MS = 30_000

/** What is to be true of a pod. */
export interface Wanted {
  /** By Kmesh. */
  readonly captured: boolean
  /** Where our rules stand. */
  readonly rules: readonly Backend[]
  /** Default: null, or `enabled` where there are rules. */
  readonly annotation?: string | null
  /** Of the agent's report; default: null. */
  readonly reason?: string
}

export const OUT: Wanted = {captured: false, rules: []}

interface Watched {
  readonly name: PodName
  readonly uid: string
  readonly path: string
  readonly cookie: string
  /** Before Kmesh had anything to do with it; undefined for pods that began with rules. */
  readonly before: PodRules | undefined
  wanted: Wanted
}

const keyOf = ({namespace, name}: PodName) => `${namespace}/${name}`

export class BypassWorld extends SidecarWorld {
  readonly #netns = createNetns()
  readonly #watched = new Map<string, Watched>()

  /** Watches all pods of the namespace whose name begins so; they are as `wanted` from now on. */
  async watch(namespace: string, prefix: string, wanted: Wanted = OUT): Promise<void> {
    for (const pod of await this.pods(namespace, prefix)) {
      const name = {namespace, name: nameOf(pod)}
      const path = this.pathOf(pod)
      const before = wanted === OUT ? await rulesIn(path) : undefined
      const cookie = this.#netns.cookie(path).toString()
      this.#watched.set(keyOf(name), {name, uid: pod.metadata.uid ?? '', path, cookie, before, wanted})
    }
  }

  unwatch(name: PodName): void {
    this.#watched.delete(keyOf(name))
  }

  /** From now on, of those that are watched. */
  want(namespace: string, prefix: string, wanted: Wanted): void {
    for (const one of this.#matching(namespace, prefix)) one.wanted = wanted
  }

  #matching(namespace: string, prefix: string): Watched[] {
    return [...this.#watched.values()].filter(
      ({name}) => name.namespace === namespace && name.name.startsWith(prefix),
    )
  }

  /** Of its network namespace. */
  pathOf({metadata}: Pod): string {
    const start = `kmx-${this.sandbox.name}.pod.${metadata.namespace}.${metadata.name}.`
    const files = readdirSync('/run/netns').filter((file) => file.startsWith(start))
    assert.equal(files.length, 1, `${start}: ${files}`)
    return `/run/netns/${files[0]}`
  }

  /** Path and cookie of the namespace of one that is watched. */
  placeOf(namespace: string, prefix: string): {readonly path: string; readonly cookie: string} {
    const [watched] = this.#matching(namespace, prefix)
    assert.ok(watched, `${namespace}/${prefix}`)
    return watched
  }

  /** Everything watched is as wanted: kernel map, agent's report and annotations; then the rules. */
  async settled(limitMs = LIMIT_MS): Promise<void> {
    await eventually(
      'all as wanted',
      async () => {
        await this.#assertTold()
        await this.#assertRules()
        return true
      },
      limitMs,
    )
  }

  async #assertTold(): Promise<void> {
    const watched = [...this.#watched.values()]
    const wanted = watched.filter(({wanted: {captured}}) => captured).map(({cookie}) => cookie)
    assert.deepEqual([...(await this.managed())].toSorted(), wanted.toSorted(), 'km_manage')
    const [entries, pods] = await Promise.all([
      this.enrollment(),
      this.sandbox.kube.list<Pod>(RESOURCES.pods),
    ])
    const expected = watched.map((one) => [keyOf(one.name), toldOf(one.wanted)])
    const found = watched.map(({name, uid}) => {
      const entry = entries.find((one) => one.uid === uid)
      const annotations = pods.items.find(({metadata}) => metadata.uid === uid)?.metadata.annotations
      const told = {
        captured: entry?.captured,
        bypass: entry?.bypass,
        annotation: annotations?.['kmesh.net/sidecar-bypass'] ?? null,
        claim: annotations?.['kmesh.net/redirection'] ?? null,
      }
      return [keyOf(name), told]
    })
    assert.deepEqual(Object.fromEntries(found), Object.fromEntries(expected))
  }

  async #assertRules(): Promise<void> {
    const watched = [...this.#watched.values()]
    const rules = await Promise.all(watched.map(({path}) => rulesIn(path)))
    for (const [index, {name, wanted, before}] of watched.entries()) {
      const now = rules[index]
      assert.deepEqual(now?.ours, standingIn(wanted.rules), `our rules of ${keyOf(name)}`)
      if (before !== undefined) assertSameOthers(now, before, keyOf(name))
    }
  }

  /** Cookies that the kernel has as enrolled. */
  async managed(): Promise<ReadonlySet<string>> {
    const pin = pinOf(this.sandbox, NODE, 'km_manage')
    const {stdout} = await run('bpftool', ['-j', 'map', 'dump', 'pinned', pin])
    const keys = (JSON.parse(stdout) as {key: string[]}[]).map(({key}) => Buffer.from(key.map(Number)))
    return new Set(keys.map((key) => key.readBigUInt64LE(0).toString()))
  }

  /** `/debug/enrollment`, asked on the node. */
  enrollment(): Promise<readonly EnrollmentEntry[]> {
    return new Promise((resolve, reject) => {
      const socket = new Socket({
        fd: this.#netns.socket(`/run/netns/kmx-${this.sandbox.name}.${NODE}`, 4),
      })
      socket.connect(ADMIN_PORT, '127.0.0.1')
      const options = {host: '127.0.0.1', port: ADMIN_PORT, path: '/debug/enrollment'}
      const request = get({...options, createConnection: () => socket}, (response) => {
        let body = ''
        response.on('data', (chunk) => (body += chunk))
        response.on('end', () => resolve(JSON.parse(body) as EnrollmentEntry[]))
      })
      request.once('error', reject)
    })
  }

  async labelNamespace(name: string, label: string, value: string | null): Promise<void> {
    await this.sandbox.kube.mergePatch(
      {...RESOURCES.namespaces, name},
      {metadata: {labels: {[label]: value}}},
    )
  }

  async labelPod({namespace, name}: PodName, label: string, value: string | null): Promise<void> {
    const path = {...RESOURCES.pods, namespace, name}
    await this.sandbox.kube.mergePatch(path, {metadata: {labels: {[label]: value}}})
  }

  /** Who handles it over both families; `tls` null where the server's sidecar stands aside. */
  async assertHandled(client: PodName, server: string, by: Handler, tls: string | null): Promise<void> {
    for (const address of await this.addresses(server))
      assert.deepEqual(
        await this.handled(client, server, address),
        {client: by, server: tls === null ? 'application' : 'envoy', tls},
        `${keyOf(client)} to ${address}`,
      )
  }

  /** Reasons of the agent's events about the pod. */
  async events({namespace, name}: PodName): Promise<readonly string[]> {
    const {items} = await this.sandbox.kube.list<KubeObject>({...RESOURCES.events, namespace})
    const ours = (items as Json[]).filter(
      ({involvedObject, source}) => involvedObject?.name === name && source?.component === 'kmesh-daemon',
    )
    return ours.map(({reason}) => reason)
  }

  /** What the agent keeps on disk of pods that may have rules. */
  noted(): string {
    const {stateDir} = JSON.parse(readFileSync(`/run/kmeshctl/${this.sandbox.name}/state.json`, 'utf8'))
    return readFileSync(join(stateDir, 'nodes', NODE, 'kmesh', 'bypassed.json'), 'utf8')
  }
}

function toldOf({captured, rules, annotation, reason}: Wanted): object {
  const active = rules.length > 0
  return {
    captured,
    bypass: {wanted: active || reason !== undefined, active, reason: reason ?? null},
    annotation: annotation ?? (active ? 'enabled' : null),
    claim: captured ? 'enabled' : null,
  }
}

/** Of a backend that had nothing, an empty table may be left. */
export function assertSameOthers(now: PodRules | undefined, before: PodRules, what: string): void {
  assert.equal(now?.native, before.native, `nftables of ${what}`)
  assert.deepEqual(now?.others, before.others, `other rules of ${what}`)
}
