// SPDX-License-Identifier: Apache-2.0
/** The agent's CNI side on a real unix socket; the enroller is a fake that keeps what it was told. */
import {mkdtempSync, rmSync} from 'node:fs'
import {request} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after} from 'node:test'
import {createLocalSocket} from '../../src/lib/adapters/local-socket.ts'
import {startCni} from '../../src/lib/agent/cni.ts'
import {Loggers} from '../../src/lib/agent/loggers.ts'
import {KmeshError} from '../../src/lib/errors.ts'
import type {EnrollmentEntry} from '../../src/lib/model/api.ts'
import {fakeClock} from '../fakes/clock.ts'
import {MemoryFiles, namespace} from './fakes.ts'

export const folder = mkdtempSync(join(tmpdir(), 'kmt-cni-socket-'))
/** Stopped also where a test failed, so that the run ends. */
const sides: {stop(): Promise<void>}[] = []
after(async () => {
  for (const side of sides) await side.stop()
  rmSync(folder, {recursive: true})
})

export const POD = {
  containerId: 'c1',
  netns: '/run/netns/a',
  ifName: 'eth0',
  network: 'net',
  namespace: 'shop',
  name: 'web',
  uid: 'u1',
}
let serial = 0

export function entry(change: Partial<EnrollmentEntry> = {}): EnrollmentEntry {
  return {
    namespace: 'shop',
    pod: 'web',
    uid: 'u1',
    cookie: '7',
    classid: null,
    addresses: [],
    since: '',
    rule: 'NamespaceLabel',
    intent: true,
    captured: true,
    ...change,
  }
}

export async function startSide(files = new MemoryFiles()) {
  serial += 1
  const clock = fakeClock()
  const output: string[] = []
  const calls: string[] = []
  const world = {
    clock,
    files,
    runFiles: new MemoryFiles(),
    output,
    calls,
    socketPath: join(folder, `run${serial}`, 'cni.sock'),
    obstacle: undefined as string | undefined,
    entries: [entry()],
    fail: undefined as Error | undefined,
  }
  const told = (what: string) => async (pod: {uid: string; netnsPath: string}) => {
    calls.push(`${what} ${pod.uid} ${pod.netnsPath}`)
    if (world.fail !== undefined) throw world.fail
    return {enrolled: true, rule: 'NamespaceLabel', cookie: '7'}
  }
  const side = await startCni({
    ...world,
    socket: createLocalSocket(join(folder, `run${serial}`), 'cni.sock'),
    loggers: new Loggers('info', clock, (line) => output.push(line)),
    enroller: {
      addPod: told('add'),
      removePod: async (pod) => void (await told('remove')(pod)),
      report: () => world.entries,
    },
    sidecarPolicy: 'bypass',
    namespaces: () => [namespace('shop', 'Kmesh'), namespace('plain')],
    obstacle: () => world.obstacle,
    reachNetns: (path) => {
      if (path.includes('missing')) throw new KmeshError('there is none', {code: 'BadNetns'})
      return `/host${path}`
    },
  })
  sides.push(side)
  return Object.assign(world, {side})
}

export type World = Awaited<ReturnType<typeof startSide>>

export function ask(world: World, method: string, path: string, body?: string | Uint8Array, headers = {}) {
  return new Promise<{status: number; code: string; body: Record<string, unknown>}>((resolve, reject) => {
    const sent = request({socketPath: world.socketPath, method, path, headers, agent: false}, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += chunk))
      response.on('error', reject)
      response.on('end', () => {
        const parsed = JSON.parse(text)
        resolve({status: response.statusCode ?? 0, code: parsed.error?.code ?? '', body: parsed})
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

export const post = (world: World, path: string, body: object) =>
  ask(world, 'POST', path, JSON.stringify(body))

/** Lines of the log above info. */
export function warnings({output}: World): string[] {
  return output.filter((line) => line.includes('level=warning') || line.includes('level=error'))
}
