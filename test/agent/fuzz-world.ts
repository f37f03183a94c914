// SPDX-License-Identifier: Apache-2.0
/** Whole agents on fakes that are fed with nonsense, and the one good service that must be served all the same. */
import assert from 'node:assert/strict'
import type {FakeBpf} from '../fakes/bpf.ts'
import {type AgentFixture, startFixture} from './agent-fixture.ts'
import {namespace, pod, service, slice} from './fakes.ts'

/** Agents that a test has left running. */
export const open: AgentFixture[] = []

export async function stopAll(): Promise<void> {
  for (const fixture of open.splice(0)) await fixture.agent.stop()
}

export async function start(bpf: FakeBpf, pins: string[]): Promise<AgentFixture> {
  const fixture = await startFixture([], {bpf, pins})
  open.push(fixture)
  return fixture
}

export function putShop({informers, node}: AgentFixture): void {
  node.run('uid-web', 4711n)
  informers.put('namespaces', namespace('shop', 'kmesh'))
  informers.put('pods', pod('shop/web', ['10.0.0.1']))
  informers.put('services', service('shop/web', ['10.96.0.1'], [{port: 80, targetPort: 8080}]))
  informers.put('endpointslices', slice('shop/web-a', 'web', ['web=10.0.0.1']))
}

export async function entries(fixture: AgentFixture, map: string): Promise<Record<string, never>[]> {
  const lines = (await fixture.ask('GET', `/debug/bpf/maps/${map}`)).body.trimEnd().split('\n')
  const parsed = lines.map((line) => JSON.parse(line))
  assert.deepEqual(parsed.pop(), {end: true, entries: parsed.length})
  return parsed
}

export async function assertShopIsServed(fixture: AgentFixture, others = 0): Promise<void> {
  const counts: Record<string, number> = {}
  for (const map of ['km_frontend', 'km_service', 'km_endpoint', 'km_backend', 'km_manage'])
    counts[map] = (await entries(fixture, map)).length
  const served = {km_frontend: 2, km_service: 1, km_endpoint: 1, km_backend: 1, km_manage: 1}
  if (others === 0) assert.deepEqual(counts, served, fixture.output.slice(-20).join(''))
  else for (const [map, count] of Object.entries(served)) assert.ok((counts[map] ?? 0) >= count, map)
  const ready = await fixture.ask('GET', '/debug/ready')
  assert.equal(ready.status, 200, ready.body)
}

/** Each line about wrong input only once. */
export function assertSaidOnce(fixture: AgentFixture, pattern: RegExp): string[] {
  const said = fixture.output.filter((line) => pattern.test(line))
  assert.equal(
    new Set(said.map((line) => line.replace(/^time="[^"]*"/, ''))).size,
    said.length,
    said.join(''),
  )
  return said
}
