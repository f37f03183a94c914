// SPDX-License-Identifier: Apache-2.0
/** A pod whose traffic Istio redirects, and its neighbour: two namespaces of the kernel joined by a veth pair. */
import {execFileSync} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, rmSync} from 'node:fs'
import net from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Backend, Family} from '../../src/lib/model/iptables-rules.ts'
import type {Netns} from '../../src/lib/ports.ts'
import {KernelFixture} from './kernel-fixture.ts'

const POD = {IPv4: '10.77.0.1', IPv6: 'fd00:77::1'} as const
const NEIGHBOUR = {IPv4: '10.77.0.2', IPv6: 'fd00:77::2'} as const
const ANY = {IPv4: '0.0.0.0', IPv6: '::'} as const
const APPLICATION = 8080
const CHAINS = ['PREROUTING', 'OUTPUT'] as const
const OURS = '-m comment --comment "kmesh.net/bypass" -j RETURN'
export const FAMILIES = ['IPv4', 'IPv6'] as const
export const BACKENDS = ['nft', 'legacy'] as const

/** Chains and order as a classic sidecar has them; the exception is for a group that nothing here runs as. */
export const ISTIO_REDIRECT = `*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
:ISTIO_REDIRECT - [0:0]
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A OUTPUT -j ISTIO_OUTPUT
COMMIT`

export class RedirectedPod implements AsyncDisposable {
  readonly path: string
  readonly lockFile: string
  readonly #netns: Netns
  readonly #neighbour: string
  readonly #fixture = new KernelFixture()
  readonly #folder = mkdtempSync(join(tmpdir(), `kmt${process.pid}-rules-`))
  readonly #servers: net.Server[] = []

  constructor(netns: Netns) {
    this.#netns = netns
    this.lockFile = join(this.#folder, 'xtables.lock')
    this.path = this.#fixture.addNamespace('pod')
    this.#neighbour = this.#fixture.addNamespace('neighbour')
    const name = `${this.#fixture.name}-neighbour`
    this.#fixture.ip('pod', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    for (const [suffix, addresses] of [
      ['pod', POD],
      ['neighbour', NEIGHBOUR],
    ] as const) {
      this.#fixture.ip(suffix, 'address', 'add', `${addresses.IPv4}/24`, 'dev', 'eth0')
      this.#fixture.ip(suffix, 'address', 'add', `${addresses.IPv6}/64`, 'dev', 'eth0', 'nodad')
      this.#fixture.ip(suffix, 'link', 'set', 'eth0', 'up')
    }
  }

  /** Servers that say their port: application in both, and the sidecar's two in the pod. */
  async serve(): Promise<void> {
    for (const family of FAMILIES) {
      for (const port of [APPLICATION, 15_001, 15_006]) await this.#listen(this.path, family, port)
      await this.#listen(this.#neighbour, family, APPLICATION)
    }
  }

  async #listen(path: string, family: Family, port: number): Promise<void> {
    const server = net.createServer((socket) => socket.end(String(port)))
    this.#servers.push(server)
    server.listen({fd: this.#netns.listen(path, ANY[family], port)})
    await once(server, 'listening')
  }

  /** Ports that answered the pod's and the neighbour's new connections to each other's application. */
  async answers(family: Family): Promise<{out: string; in: string}> {
    return {
      out: await this.#ask(this.path, family, NEIGHBOUR[family]),
      in: await this.#ask(this.#neighbour, family, POD[family]),
    }
  }

  async #ask(path: string, family: Family, address: string): Promise<string> {
    const client = new net.Socket({fd: this.#netns.socket(path, family === 'IPv4' ? 4 : 6)})
    client.connect(APPLICATION, address)
    const [data] = await once(client, 'data', {signal: AbortSignal.timeout(3000)})
    client.destroy()
    return String(data)
  }

  /** A program of the pod's namespace; not of ours, so without our lock. */
  run(file: string, args: readonly string[], input = ''): string {
    return execFileSync('nsenter', [`--net=${this.path}`, '--', file, ...args], {
      input,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {...process.env, XTABLES_LOCKFILE: this.lockFile},
    })
  }

  restore(backend: Backend, family: Family, text: string): void {
    this.run(`${tables(family)}-${backend}-restore`, ['--noflush', '-w', '5'], `${text}\n`)
  }

  /** All of the tables but the dates. */
  save(backend: Backend, family: Family): string {
    const text = this.run(`${tables(family)}-${backend}-save`, [])
    return text.replace(/^#.*\n/gm, '')
  }

  /** Where our rule stands: `nft IPv4 OUTPUT 1`. */
  standing(): string[] {
    const legacy = this.legacyTables().includes('nat')
    const backends = BACKENDS.filter((backend) => backend === 'nft' || legacy)
    return backends.flatMap((backend) =>
      FAMILIES.flatMap((family) => CHAINS.flatMap((name) => this.#ours(backend, family, name))),
    )
  }

  #ours(backend: Backend, family: Family, name: 'PREROUTING' | 'OUTPUT'): string[] {
    const lines = this.save(backend, family)
      .split('\n')
      .filter((line) => line.startsWith(`-A ${name} `))
    return lines.flatMap((line, index) =>
      line === `-A ${name} ${OURS}` ? [`${backend} ${family} ${name} ${index + 1}`] : [],
    )
  }

  /** Tables of the legacy backend that exist. */
  legacyTables(): string {
    return this.run('cat', ['/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers.splice(0)) server.close()
    this.#fixture[Symbol.dispose]()
    rmSync(this.#folder, {recursive: true})
  }
}

/** What `standing` gives where these backends are as they must. */
export function everywhere(...backends: readonly Backend[]): string[] {
  return backends.flatMap((backend) =>
    FAMILIES.flatMap((family) => CHAINS.map((name) => `${backend} ${family} ${name} 1`)),
  )
}

function tables(family: Family): string {
  return family === 'IPv4' ? 'iptables' : 'ip6tables'
}
