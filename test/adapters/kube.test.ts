// SPDX-License-Identifier: Apache-2.0
// Goal: requests carry credentials and impersonation, reads are retried and writes are not, pages are joined, a 403
// names the missing rule, nothing is read without limit, watches end and fail as they should.
// Method: the real adapter against a TLS server that answers what the test says.
import assert from 'node:assert/strict'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import type {IncomingMessage} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, test} from 'node:test'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {createKube, type KubeOptions} from '../../src/lib/adapters/kube.ts'
import {loadConnection} from '../../src/lib/adapters/kubeconfig.ts'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import type {Kube, Log} from '../../src/lib/ports.ts'
import {type FakeApi, startFakeApi} from '../fakes/api-server.ts'

const silent = () => undefined
const log: Log = {trace: silent, debug: silent, info: silent, warn: silent, error: silent}
const pods = {...RESOURCES.pods, namespace: 'shop'}

let open: {api: FakeApi; kube: Kube} | undefined

afterEach(async () => {
  await open?.kube.close()
  await open?.api.close()
  open = undefined
})

type Answer = {status: number; body: string} | 'hang'

async function start(
  answer: (request: IncomingMessage, count: number) => Answer | undefined,
  more: {request?: Parameters<typeof loadConnection>[0]; options?: Partial<KubeOptions>} = {},
) {
  let count = 0
  const api = await startFakeApi({
    nodes: [],
    intercept: (request) => {
      count += 1
      return answer(request, count)
    },
  })
  const connection = await loadConnection({kubeconfig: api.kubeconfig, ...more.request})
  const kube = createKube(connection, {
    clock: createClock(),
    log,
    requestTimeoutMs: 5000,
    random: () => 0,
    ...more.options,
  })
  open = {api, kube}
  return {api, kube, count: () => count}
}

const ok = (body: object): Answer => ({status: 200, body: JSON.stringify(body)})
const status = (code: number, reason: string, message = 'said so'): Answer => ({
  status: code,
  body: JSON.stringify({kind: 'Status', reason, message}),
})

test('a read is tried again on 429, 500 and 503, a write is not', async () => {
  const {kube, count} = await start((_request, number) =>
    number < 4 ? status([429, 500, 503][number - 1]!, 'Busy') : ok({metadata: {name: 'a'}}),
  )
  assert.equal((await kube.get({...pods, name: 'a'})).metadata.name, 'a')
  assert.equal(count(), 4)
  await kube.close()
  await open?.api.close()
  const second = await start(() => status(503, 'ServiceUnavailable'))
  await assert.rejects(second.kube.mergePatch({...pods, name: 'a'}, {}), {
    status: 503,
    code: 'ServiceUnavailable',
  })
  assert.equal(second.count(), 1)
})

test('after three more tries the server is believed', async () => {
  const {kube, count} = await start(() => status(503, 'ServiceUnavailable'))
  await assert.rejects(kube.get({...pods, name: 'a'}), {status: 503})
  assert.equal(count(), 4)
})

test('404 and 409 are not tried again; a conflict has exit status 7', async () => {
  const {kube, count} = await start((request) =>
    request.method === 'GET' ? status(404, 'NotFound') : status(409, 'Conflict'),
  )
  await assert.rejects(kube.get({...pods, name: 'a'}), {status: 404, code: 'NotFound', exitCode: 1})
  await assert.rejects(kube.mergePatch({...pods, name: 'a'}, {}), {
    status: 409,
    code: 'Conflict',
    exitCode: 7,
  })
  assert.equal(count(), 2)
})

test('a 403 keeps the reason and names the rule, ready to be pasted', async () => {
  const {kube} = await start(() => status(403, 'Forbidden', 'pods is forbidden: User "x" cannot list'))
  await assert.rejects(
    kube.list(pods),
    (error: Error & {hints: string[]; exitCode: number; code: string}) => {
      assert.equal(error.exitCode, 6)
      assert.equal(error.code, 'Forbidden')
      assert.match(
        error.message,
        /cannot list pods in namespace shop: pods is forbidden: User "x" cannot list/,
      )
      assert.equal(
        error.hints[0],
        'this rule is missing (Role in namespace shop; deploy/rbac.yaml has all of them):\n- apiGroups: [""]\n  resources: ["pods"]\n  verbs: ["list"]',
      )
      return true
    },
  )
})

test('a 403 of a port-forward names pods/portforward with both verbs', async () => {
  const {kube} = await start(() => status(403, 'Forbidden', 'no'))
  await assert.rejects(
    kube.portForward('kmesh-system', 'kmesh-n1', 15200, {connectTimeoutMs: 2000}),
    (error: Error & {hints: string[]}) => {
      assert.match(error.hints[0]!, /resources: \["pods\/portforward"\]\n {2}verbs: \["get", "create"\]/)
      return true
    },
  )
})

test('pages are joined, with limit 500, in order', async () => {
  const {kube, api} = await start((request) => {
    const next = new URL(request.url!, 'https://x').searchParams.get('continue')
    const items = [{metadata: {name: next === null ? 'a' : 'b'}}]
    return ok({metadata: next === null ? {continue: 'token/1'} : {resourceVersion: '9'}, items})
  })
  const {items, metadata} = await kube.list(pods, {labelSelector: 'app in (a, b)'})
  assert.deepEqual(
    items.map((item) => item.metadata.name),
    ['a', 'b'],
  )
  assert.equal(metadata.resourceVersion, '9')
  assert.deepEqual(api.requests, [
    'GET /api/v1/namespaces/shop/pods?labelSelector=app+in+%28a%2C+b%29&limit=500',
    'GET /api/v1/namespaces/shop/pods?labelSelector=app+in+%28a%2C+b%29&continue=token%2F1&limit=500',
  ])
})

test('pages that are asked for ahead are asked for once, and what fails there is the failure', async () => {
  const asked: string[] = []
  let fails = false
  const {kube} = await start((request) => {
    const next = new URL(request.url!, 'https://x').searchParams.get('continue') ?? ''
    asked.push(next)
    if (fails && next === 'c') return status(403, 'Forbidden', 'pods is forbidden')
    const following = {'': 'b', b: 'c', c: ''}[next]
    const item = {metadata: {name: `pod-${next}`, annotations: {a: '"metadata":{"continue":"z"'}}}
    return ok({kind: 'PodList', metadata: following === '' ? {} : {continue: following}, items: [item]})
  })
  const names = async () => (await kube.list(pods)).items.map(({metadata}) => metadata.name)
  assert.deepEqual(await names(), ['pod-', 'pod-b', 'pod-c'])
  assert.deepEqual(asked, ['', 'b', 'c'])
  fails = true
  await assert.rejects(names(), {status: 403})
})

test('an expired page starts the list again once', async () => {
  let lists = 0
  const {kube} = await start((request) => {
    if (request.url!.includes('continue=')) return status(410, 'Expired')
    lists += 1
    return ok(
      lists === 1 ? {metadata: {continue: 'x'}, items: []} : {metadata: {}, items: [{metadata: {name: 'a'}}]},
    )
  })
  assert.equal((await kube.list(pods)).items.length, 1)
})

test('every request carries impersonation, port-forward too', async () => {
  const {kube, api} = await start(() => status(403, 'Forbidden'), {
    request: {asUser: 'jane', asGroups: ['dev', 'ops'], asUid: '7'},
  })
  await assert.rejects(kube.get({...pods, name: 'a'}))
  await assert.rejects(kube.portForward('shop', 'a', 80, {connectTimeoutMs: 2000}))
  assert.equal(api.headers.length, 2)
  for (const headers of api.headers) {
    assert.equal(headers['impersonate-user'], 'jane')
    assert.equal(headers['impersonate-group'], 'dev, ops')
    assert.equal(headers['impersonate-uid'], '7')
  }
})

test('a write names its field manager and dry run', async () => {
  const {kube, api} = await start(() => ok({metadata: {name: 'a'}}))
  await kube.mergePatch({...pods, name: 'a'}, {metadata: {labels: {x: 'y'}}}, {dryRun: true})
  assert.equal(api.requests[0], 'PATCH /api/v1/namespaces/shop/pods/a?fieldManager=kmeshctl&dryRun=All')
  assert.equal(api.headers[0]!['content-type'], 'application/merge-patch+json')
})

test('a server that hangs costs the request timeout and says so', async () => {
  const {kube} = await start(() => 'hang')
  const startMs = performance.now()
  await assert.rejects(kube.get({...pods, name: 'a'}, {timeoutMs: 300}), {
    code: 'Timeout',
    exitCode: 1,
    phase: 'request',
  })
  assert.ok(performance.now() - startMs < 2000)
})

test('an answer above the limit and one that is no JSON are refused', async () => {
  const {kube} = await start(
    (_request, number) =>
      number === 1 ? {status: 200, body: 'x'.repeat(2000)} : {status: 200, body: '<html>'},
    {
      options: {maxBodyBytes: 1000},
    },
  )
  await assert.rejects(kube.get({...pods, name: 'a'}), {
    code: 'TooLarge',
    phase: 'read',
    message: /^cannot get pods a.* at http.*: the answer is longer than 1000 bytes$/,
  })
  await assert.rejects(kube.get({...pods, name: 'a'}), {phase: 'decode'})
})

test('an abort ends a request with its reason', async () => {
  const {kube} = await start(() => 'hang')
  const controller = new AbortController()
  setTimeout(() => controller.abort(new Error('enough')), 50)
  await assert.rejects(kube.get({...pods, name: 'a'}, {signal: controller.signal}), {message: 'enough'})
})

test('a watch gives its events, an ERROR event is thrown with its code', async () => {
  const lines = [
    {type: 'ADDED', object: {metadata: {name: 'a', resourceVersion: '1'}}},
    {type: 'BOOKMARK', object: {metadata: {resourceVersion: '2'}}},
    {type: 'ERROR', object: {kind: 'Status', code: 410, reason: 'Expired', message: 'too old'}},
  ]
  const {kube, api} = await start(() => ({
    status: 200,
    body: lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
  }))
  const seen: string[] = []
  const signal = new AbortController().signal
  await assert.rejects(
    async () => {
      for await (const event of kube.watch(pods, {signal, resourceVersion: '1'})) seen.push(event.type)
    },
    {status: 410, code: 'Expired'},
  )
  assert.deepEqual(seen, ['ADDED', 'BOOKMARK'])
  assert.equal(
    api.requests[0],
    'GET /api/v1/namespaces/shop/pods?resourceVersion=1&watch=1&allowWatchBookmarks=true',
  )
})

test('a token that expires: the file is asked again after a 401, not only when it is due', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kmt-token-'))
  try {
    const file = join(folder, 'token')
    writeFileSync(file, 'old')
    let valid = 'Bearer old'
    const {kube} = await start(({headers}) =>
      headers.authorization === valid
        ? ok({kind: 'PodList', metadata: {}, items: []})
        : status(401, 'Unauthorized'),
    )
    const config = {
      clusters: [{name: 'c', cluster: {server: kube.server, 'insecure-skip-tls-verify': true}}],
      users: [{name: 'u', user: {tokenFile: file}}],
      contexts: [{name: 'x', context: {cluster: 'c', user: 'u'}}],
      'current-context': 'x',
    }
    writeFileSync(join(folder, 'config'), JSON.stringify(config))
    const connection = await loadConnection({kubeconfig: join(folder, 'config')})
    const rotating = createKube(connection, {clock: createClock(), log, requestTimeoutMs: 5000})
    try {
      await rotating.list(pods)
      valid = 'Bearer new'
      writeFileSync(file, 'new')
      await assert.rejects(rotating.list(pods), {status: 401})
      await rotating.list(pods)
    } finally {
      await rotating.close()
    }
  } finally {
    rmSync(folder, {recursive: true})
  }
})
