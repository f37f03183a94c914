// SPDX-License-Identifier: Apache-2.0
// Goal: long lists are asked for as protobuf, what the server answers is read as what it says it is, and a failure says
// what is wrong in either format.
// Method: the real adapter against a TLS server that answers what the test says.
import assert from 'node:assert/strict'
import type {IncomingMessage} from 'node:http'
import {afterEach, test} from 'node:test'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {createKube} from '../../src/lib/adapters/kube.ts'
import {loadConnection} from '../../src/lib/adapters/kubeconfig.ts'
import {DeniedError, UnreachableError} from '../../src/lib/errors.ts'
import {type Pod, RESOURCES} from '../../src/lib/model/kube.ts'
import type {Kube, KubeListOptions, Log} from '../../src/lib/ports.ts'
import {protobufItem, protobufList} from '../../src/lib/sandbox/api/protobuf-write.ts'
import {type FakeAnswer, type FakeApi, startFakeApi} from '../fakes/api-server.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const FIELDS = {metadata: {name: true}} as const
const nothing = () => undefined
const log: Log = {trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing}

let open: {api: FakeApi; kube: Kube} | undefined

afterEach(async () => {
  await open?.kube.close()
  await open?.api.close()
  open = undefined
})

async function start(intercept: (request: IncomingMessage) => FakeAnswer): Promise<FakeApi> {
  const api = await startFakeApi({nodes: [], intercept})
  const connection = await loadConnection({kubeconfig: api.kubeconfig})
  open = {
    api,
    kube: createKube(connection, {clock: createClock(), log, requestTimeoutMs: 5000, random: () => 0}),
  }
  return api
}

async function namesOf(options: KubeListOptions = {fields: FIELDS}): Promise<(string | undefined)[]> {
  const list = await open?.kube.list<Pod>(RESOURCES.pods, options)
  return list?.items.map(({metadata}) => metadata.name) ?? []
}

const binary = (status: number, body: Buffer): FakeAnswer => ({status, body, contentType: `${PROTOBUF}; q=1`})
const pageOf = (name: string, next?: string): FakeAnswer => {
  const item = protobufItem('Pod', {metadata: {name}}) ?? Buffer.of()
  const metadata = next === undefined ? {} : {continue: next}
  return binary(200, protobufList({kind: 'Pod', apiVersion: 'v1'}, metadata, [item]))
}

test('pages in protobuf are asked for ahead, once each, and joined in order', async () => {
  const api = await start(({url = ''}) => {
    const from = new URL(url, 'https://x').searchParams.get('continue') ?? ''
    return pageOf(`pod-${from}`, {'': 'a', a: 'b'}[from])
  })
  assert.deepEqual(await namesOf(), ['pod-', 'pod-a', 'pod-b'])
  assert.equal(api.requests.length, 3)
  assert.equal(api.headers[0]?.accept, `${PROTOBUF},application/json`)
})

test('a server that has JSON only is read as JSON', async () => {
  const items = [{metadata: {name: 'web', uid: 'x'}}]
  await start(() => ({status: 200, body: JSON.stringify({items})}))
  assert.deepEqual(await namesOf(), ['web'])
})

test('without a choice of members, and for metadata, nobody asks for protobuf', async () => {
  const api = await start(() => ({status: 200, body: '{"items":[]}'}))
  await namesOf({})
  await namesOf({metadataOnly: true, fields: FIELDS})
  for (const {accept} of api.headers) assert.doesNotMatch(accept ?? '', /protobuf/)
})

test('a failure in protobuf is told like one in JSON', async () => {
  const text = 'pods is forbidden'
  const status = Buffer.from(`\x1a${String.fromCharCode(text.length)}${text}\x22\x09Forbidden`)
  await start(() =>
    binary(403, Buffer.concat([Buffer.from('k8s\0'), Buffer.of(0x12, status.length), status])),
  )
  await assert.rejects(namesOf(), (error: DeniedError) => {
    assert.ok(error instanceof DeniedError)
    assert.match(error.message, /pods is forbidden \(HTTP 403\)/)
    return true
  })
})

for (const [title, answer, message] of [
  ['protobuf that breaks off', binary(200, Buffer.from('k8s\0\x12\x7f')), /is no protobuf of Kubernetes/],
  ['a web page', {status: 200, body: '<html>', contentType: 'text/html'}, /is no JSON of Kubernetes/],
] as const) {
  test(`${title} is no answer`, async () => {
    await start(() => answer)
    await assert.rejects(namesOf(), (error: UnreachableError) => {
      assert.ok(error instanceof UnreachableError)
      assert.match(error.message, message)
      return true
    })
  })
}
