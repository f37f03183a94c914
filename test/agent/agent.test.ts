// SPDX-License-Identifier: Apache-2.0
// Goal: the agent from watch event to map and answer: own endpoints, restart, capacity, log lines.
// Method: the whole agent over fakes of its ports, asked over loopback HTTP.
import assert from 'node:assert/strict'
import {afterEach, describe, test} from 'node:test'
import {type AgentFixture, PIN_FOLDER, startFixture} from './agent-fixture.ts'
import {namespace, pod, service, slice} from './fakes.ts'

const open: AgentFixture[] = []
afterEach(async () => {
  for (const fixture of open.splice(0)) await fixture.agent.stop()
})

async function start(
  flags: readonly string[] = [],
  before: Partial<AgentFixture> = {},
): Promise<AgentFixture> {
  const fixture = await startFixture(flags, before)
  open.push(fixture)
  return fixture
}

/** Two endpoints behind shop/web, one of them on this node and enrolled by its namespace. */
async function startShop(before: Partial<AgentFixture> = {}): Promise<AgentFixture> {
  const fixture = await start([], before)
  const {informers, node} = fixture
  node.run('uid-web-1', 4711n)
  informers.put('namespaces', namespace('shop', 'kmesh'))
  informers.put('services', service('shop/web', ['10.96.0.1'], [{port: 80, targetPort: 8080}]))
  informers.put('pods', pod('shop/web-1', ['10.0.0.1']))
  informers.put('pods', pod('shop/web-2', ['10.0.0.2'], {spec: {nodeName: 'n2'}}))
  informers.put('endpointslices', slice('shop/web-a', 'web', ['web-1=10.0.0.1', 'web-2=10.0.0.2']))
  informers.sync()
  await fixture.settle(500)
  return fixture
}

async function json(fixture: AgentFixture, path: string): Promise<unknown> {
  return JSON.parse((await fixture.ask('GET', path)).body)
}

async function lines(fixture: AgentFixture, map: string): Promise<Record<string, unknown>[]> {
  const reply = await fixture.ask('GET', `/debug/bpf/maps/${map}`)
  assert.equal(reply.headers['content-type'], 'application/x-ndjson')
  return reply.body
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

describe('readiness', () => {
  test('503 until the maps hold the cluster, then 200', async () => {
    const fixture = await start()
    const early = await fixture.ask('GET', '/debug/ready')
    assert.equal(early.status, 503)
    assert.match(early.body, /the maps do not yet hold the cluster/)
    fixture.informers.sync()
    await fixture.settle()
    assert.deepEqual(await json(fixture, '/debug/ready'), {
      ready: true,
      checks: [
        {name: 'bpf', ok: true, message: ''},
        {name: 'kubernetes', ok: true, message: ''},
      ],
    })
  })

  test('a watch that is down is named', async () => {
    const fixture = await startShop()
    fixture.informers.problem = 'connection refused'
    const reply = await fixture.ask('GET', '/debug/ready')
    assert.equal(reply.status, 503)
    assert.match(reply.body, /pods: connection refused/)
  })

  test('a full map: said, the rest is served, and it heals', async () => {
    const fixture = await startShop()
    fixture.bpf.failNext('update', 7)
    fixture.informers.put('pods', pod('shop/late', ['10.0.0.9'], {spec: {nodeName: 'n2'}}))
    fixture.informers.put('services', service('shop/other', ['10.96.0.2']))
    await fixture.settle()
    const reply = await fixture.ask('GET', '/debug/ready')
    assert.equal(reply.status, 503)
    assert.match(reply.body, /pod shop\/late: map km_backend is full: .*E2BIG/)
    assert.match(fixture.output.join(''), /level=error msg="pod shop\/late: map km_backend is full/)
    assert.equal((await lines(fixture, 'km_service')).at(-1)?.['entries'], 2)
    await fixture.settle(200)
    assert.equal((await fixture.ask('GET', '/debug/ready')).status, 200)
    assert.equal((await lines(fixture, 'km_backend')).at(-1)?.['entries'], 3)
  })
})

describe('maps', () => {
  test('the list tells sizes, counts and what cannot be read', async () => {
    const listed = (await json(await startShop(), '/debug/bpf/maps')) as Record<string, unknown>[]
    assert.deepEqual(listed[0], {
      name: 'km_frontend',
      type: 'hash',
      keyBytes: 16,
      valueBytes: 4,
      entries: 3,
      maxEntries: 105_000,
      readable: true,
    })
    assert.deepEqual(
      listed.filter((row) => row['readable'] === false).map((row) => [row['name'], row['entries']]),
      [
        ['km_sockstorage', null],
        ['km_log_event', null],
      ],
    )
  })

  test('entries with keys, names and an end', async () => {
    const fixture = await startShop()
    const endpoints = await lines(fixture, 'km_endpoint')
    assert.deepEqual(endpoints.at(-1), {end: true, entries: 2})
    const first = endpoints.find((line) => (line['key'] as {index: number} | undefined)?.index === 1)
    assert.deepEqual(Object.values(first?.['names'] as object).sort(), [
      'Kubernetes//Pod/shop/web-1',
      'shop/web.shop.svc.cluster.local',
    ])
    assert.deepEqual(await lines(fixture, 'km_manage'), [
      {
        key: {cookie: '4711', address: '103.18.0.0'},
        value: {flags: 0},
        keyHex: '67120000000000000000000000000000',
        valueHex: '00000000',
        names: {'4711': 'shop/web-1'},
      },
      {end: true, entries: 1},
    ])
  })

  test('a read that fails ends with the error', async () => {
    const fixture = await startShop()
    fixture.bpf.failNext('read', 1)
    const [line] = await lines(fixture, 'km_backend')
    assert.match(JSON.stringify(line), /^\{"error":\{"code":"Kernel","message":".*EPERM/)
  })

  test('bad requests name what is bad', async () => {
    const fixture = await start()
    const cases: [string, string, number, string, string | undefined][] = [
      ['GET', '/debug/bpf/maps/nope', 404, 'NotFound', 'name'],
      ['GET', '/debug/bpf/maps/km_log_event', 400, 'NotReadable', 'name'],
      ['GET', '/debug/bpf/maps?raw=1', 400, 'BadParameter', 'raw'],
      ['POST', '/debug/enrollment', 405, 'MethodNotAllowed', undefined],
    ]
    for (const [method, path, status, code, parameter] of cases) {
      const reply = await fixture.ask(method, path)
      const {error} = JSON.parse(reply.body) as {error: {code: string; parameter?: string}}
      assert.deepEqual([reply.status, error.code, error.parameter], [status, code, parameter], path)
    }
  })
})

describe('who may ask', () => {
  test('no Origin, and only local hosts', async () => {
    const fixture = await start()
    const cases: [Record<string, string>, number][] = [
      [{origin: 'http://localhost:15200'}, 403],
      [{host: 'evil.example:15200'}, 403],
      [{host: 'localhost.evil.example'}, 403],
      [{host: 'localhost:1'}, 200],
      [{host: '[::1]:15200'}, 200],
      [{host: '127.0.0.1'}, 200],
    ]
    for (const [headers, status] of cases) {
      assert.equal(
        (await fixture.ask('GET', '/version', undefined, headers)).status,
        status,
        JSON.stringify(headers),
      )
    }
  })
})

describe('leases over HTTP', () => {
  test('ttlSeconds: the level, its end, and back', async () => {
    const fixture = await start()
    const body = JSON.stringify({name: 'bpf', level: 'debug', ttlSeconds: 30})
    assert.equal((await fixture.ask('POST', '/debug/loggers', body)).body, 'set BPF Log Level: 3\n')
    assert.deepEqual(await json(fixture, '/debug/loggers?name=bpf'), {
      name: 'bpf',
      level: 'debug',
      default: 'info',
      expiresAt: '2026-01-01T00:00:30.000Z',
    })
    await fixture.settle(30_000)
    assert.match((await fixture.ask('GET', '/debug/loggers?name=bpf')).body, /"level": "info"/)
  })

  test('a time that is none is named', async () => {
    const fixture = await start()
    for (const ttlSeconds of [0, -1, 1.5, '30', 604_801, {}]) {
      const body = JSON.stringify({name: 'bpf', level: 'debug', ttlSeconds})
      const reply = await fixture.ask('POST', '/debug/loggers', body)
      assert.equal(reply.status, 400)
      assert.match(reply.body, /"parameter": "ttlSeconds"/)
    }
    assert.match((await fixture.ask('GET', '/debug/loggers?name=bpf')).body, /"level": "info"/)
  })
})

describe('following the cluster', () => {
  test('a pod that goes leaves no endpoint at once, and no entry or id after the grace time', async () => {
    const fixture = await startShop()
    const {informers} = fixture
    informers.put('endpointslices', slice('shop/web-a', 'web', ['web-1=10.0.0.1']))
    informers.remove('pods', 'shop/web-2')
    await fixture.settle()
    const counted = (await lines(fixture, 'km_service'))[0] as {value: {endpointCount: number[]}}
    assert.deepEqual(counted.value.endpointCount, [1, 0, 0, 0, 0, 0, 0])
    assert.equal(
      (await lines(fixture, 'km_backend')).length - 1,
      2,
      'the backend is there for who still holds it',
    )
    await fixture.settle(500)
    assert.equal((await lines(fixture, 'km_backend')).length - 1, 1)
    assert.equal((await lines(fixture, 'km_endpoint')).length - 1, 1)
    assert.doesNotMatch(fixture.files.read('hash_name.yaml') ?? '', /web-2/)
  })

  test('a service that goes takes its address first', async () => {
    const fixture = await startShop()
    const before = fixture.bpf.writes.length
    fixture.informers.remove('services', 'shop/web')
    await fixture.settle(500)
    const deletes = fixture.bpf.writes.slice(before).filter((write) => write.call === 'delete')
    assert.deepEqual(
      deletes.map((write) => write.map),
      ['km_frontend', 'km_service', 'km_endpoint', 'km_endpoint'],
    )
    assert.equal((await lines(fixture, 'km_frontend')).at(-1)?.['entries'], 2, 'the pods keep theirs')
  })

  test('an address that moves to another pod leads to that one', async () => {
    const fixture = await startShop()
    fixture.informers.put('pods', pod('shop/heir', ['10.0.0.2'], {spec: {nodeName: 'n2'}}))
    fixture.informers.remove('pods', 'shop/web-2')
    await fixture.settle(500)
    const frontends = await lines(fixture, 'km_frontend')
    const line = frontends.find(
      (one) => (one['key'] as {address: string} | undefined)?.address === '10.0.0.2',
    )
    assert.deepEqual(Object.values(line?.['names'] as object), ['Kubernetes//Pod/shop/heir'])
  })

  test('more than ten services of one backend: said', async () => {
    const fixture = await startShop()
    for (let index = 0; index < 11; index += 1) {
      fixture.informers.put('services', service(`shop/s${index}`, [`10.96.1.${index}`]))
      fixture.informers.put('endpointslices', slice(`shop/s${index}`, `s${index}`, ['web-1=10.0.0.1']))
    }
    await fixture.settle()
    assert.match(
      fixture.output.join(''),
      /backend Kubernetes\/\/Pod\/shop\/web-1 belongs to 12 services, the first 10 are kept/,
    )
    assert.match((await fixture.ask('GET', '/debug/ready')).body, /belongs to 12 services/)
  })
})

describe('restart', () => {
  test('maps, names and pods are adopted: nothing is written', async () => {
    const first = await startShop()
    await first.agent.stop()
    const pins = [`${PIN_FOLDER}/map/km_globals`]
    const writes = first.bpf.writes.length
    const second = await startShop({...first, pins})
    const again = second.bpf.writes.slice(writes)
    assert.deepEqual(again, [])
    assert.match(second.output.join(''), /0 maps made, 9 adopted/)
  })

  test('a backend of two services is written once, in whichever order they are told', async () => {
    const two = async (before: Partial<AgentFixture>, names: readonly string[]): Promise<AgentFixture> => {
      const fixture = await start([], before)
      const {informers} = fixture
      informers.put('pods', pod('shop/web-1', ['10.0.0.1']))
      for (const [index, name] of names.entries()) {
        informers.put('services', service(`shop/${name}`, [`10.96.0.${name === 'a' ? 1 : 2}`]))
        informers.put('endpointslices', slice(`shop/${name}-${index}`, name, ['web-1=10.0.0.1']))
      }
      informers.sync()
      await fixture.settle(500)
      return fixture
    }
    const first = await two({}, ['a', 'b'])
    const [held] = await lines(first, 'km_backend')
    await first.agent.stop()
    const writes = first.bpf.writes.length
    const second = await two({...first, pins: [`${PIN_FOLDER}/map/km_globals`]}, ['b', 'a'])
    assert.deepEqual(second.bpf.writes.slice(writes), [])
    assert.deepEqual((await lines(second, 'km_backend'))[0], held)
    await second.agent.stop()
    const third = await two({...second, pins: [`${PIN_FOLDER}/map/km_globals`]}, ['b'])
    const [left] = await lines(third, 'km_backend')
    assert.deepEqual(Object.values((left?.['names'] ?? {}) as object).sort(), [
      'Kubernetes//Pod/shop/web-1',
      'shop/b.shop.svc.cluster.local',
    ])
  })

  test('what is gone meanwhile goes after the first lists', async () => {
    const first = await startShop()
    await first.agent.stop()
    const second = await start([], {...first, pins: [`${PIN_FOLDER}/map/km_globals`]})
    await second.settle(1000)
    assert.equal(
      (await lines(second, 'km_backend')).at(-1)?.['entries'],
      2,
      'not before the lists are complete',
    )
    second.informers.sync()
    await second.settle(1000)
    for (const map of ['km_frontend', 'km_service', 'km_endpoint', 'km_backend', 'km_manage']) {
      assert.deepEqual(await lines(second, map), [{end: true, entries: 0}], map)
    }
    assert.equal(second.files.read('hash_name.yaml'), '')
  })

  test('pins of another data plane are refused, unless told', async () => {
    const pins = [`${PIN_FOLDER}/map/km_frontend`]
    await assert.rejects(start([], {pins}), {code: 'ForeignPins'})
    await start(['--take-over'], {pins})
  })
})

test('lines of the BPF programs come out at info under default, without control characters', async () => {
  const fixture = await start()
  const text = '[KMESH] DEBUG: origin dst \u001b[31m10.96.0.1:80\n'
  const record = new Uint8Array(260)
  new DataView(record.buffer).setUint32(0, text.length + 1, true)
  record.set(Buffer.from(text), 4)
  fixture.bpf.emit(`${PIN_FOLDER}/map/km_log_event`, record)
  await fixture.settle(50)
  const line = fixture.output.find((one) => one.includes('subsys=ebpf'))
  assert.match(
    line ?? '',
    /^time="2026-01-01T00:00:00Z" level=info msg="\[KMESH\] DEBUG: origin dst \\u001b\[31m10.96.0.1:80" subsys=ebpf\n$/,
  )
  await fixture.ask('POST', '/debug/loggers', '{"name":"default","level":"warn"}')
  const before = fixture.output.length
  fixture.bpf.emit(`${PIN_FOLDER}/map/km_log_event`, record)
  await fixture.settle(50)
  assert.equal(fixture.output.length, before, 'default hides them')
})

describe('dumps in the dialect', () => {
  test('services and workloads', async () => {
    const dump = (await json(await startShop(), '/debug/config_dump/dual-engine')) as {
      workloads: object[]
      services: object[]
      policies: object[]
    }
    assert.deepEqual(dump.services, [
      {
        name: 'web',
        namespace: 'shop',
        hostname: 'web.shop.svc.cluster.local',
        vips: ['/10.96.0.1'],
        ports: [{service_port: 80, target_port: 8080}],
        loadBalancer: null,
        waypoint: {destination: ''},
      },
    ])
    assert.equal(dump.workloads.length, 2)
    assert.deepEqual(dump.policies, [])
  })

  test('maps without keys; empty ones are empty lists', async () => {
    const empty = await (await start()).ask('GET', '/debug/config_dump/bpf/dual-engine')
    assert.equal(
      empty.body,
      '{\n    "workloadPolicies": [],\n    "backends": [],\n    "endpoints": [],\n    "frontends": [],\n    "services": []\n}',
    )
    const dump = (await json(await startShop(), '/debug/config_dump/bpf/dual-engine')) as Record<
      string,
      object[]
    >
    assert.deepEqual(dump['services'], [
      {
        endpointCount: '2, 0, 0, 0, 0, 0, 0',
        lbPolicy: 'UNSPECIFIED_MODE',
        servicePort: '80',
        targetPort: '8080',
      },
    ])
    assert.deepEqual(dump['backends']?.[0], {
      ip: '10.0.0.1',
      serviceCount: 1,
      services: ['shop/web.shop.svc.cluster.local'],
    })
  })

  test('a long one comes in chunks, as from Go', async () => {
    const fixture = await startShop()
    for (let index = 0; index < 300; index += 1)
      fixture.informers.put('pods', pod(`shop/p${index}`, [`10.1.${index >> 8}.${index & 255}`]))
    await fixture.settle()
    const reply = await fixture.ask('GET', '/debug/config_dump/dual-engine')
    assert.equal(reply.headers['transfer-encoding'], 'chunked')
    assert.equal((JSON.parse(reply.body) as {workloads: object[]}).workloads.length, 302)
    assert.match(reply.body, /^\{\n {4}"workloads": \[\n {8}\{\n {12}"uid": "/)
  })
})
