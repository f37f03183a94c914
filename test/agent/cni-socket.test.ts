// SPDX-License-Identifier: Apache-2.0
// Goal: the CNI socket serves root, only well-formed requests reach the enroller, hostile ones are answered, said
// once, and change nothing.
// Method: the real server on a real unix socket, the enroller is a fake that keeps what it was told.
import assert from 'node:assert/strict'
import {spawn, spawnSync} from 'node:child_process'
import {chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {request} from 'node:http'
import {connect, createServer} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, test} from 'node:test'
import {createLocalSocket} from '../../src/lib/adapters/local-socket.ts'
import {startCni} from '../../src/lib/agent/cni.ts'
import {Loggers} from '../../src/lib/agent/loggers.ts'
import {KernelError, KmeshError, UnreachableError} from '../../src/lib/errors.ts'
import type {EnrollmentEntry} from '../../src/lib/model/api.ts'
import {fakeClock} from '../fakes/clock.ts'
import {SeededRandom} from '../model/random.ts'
import {MemoryFiles, namespace} from './fakes.ts'

const folder = mkdtempSync(join(tmpdir(), 'kmt-cni-socket-'))
/** Stopped also where a test failed, so that the run ends. */
const sides: {stop(): Promise<void>}[] = []
after(async () => {
  for (const side of sides) await side.stop()
  rmSync(folder, {recursive: true})
})

const POD = {
  containerId: 'c1',
  netns: '/run/netns/a',
  ifName: 'eth0',
  network: 'net',
  namespace: 'shop',
  name: 'web',
  uid: 'u1',
}
const SEED = Number(process.env['KMESH_FUZZ_SEED'] ?? 20_261_122)
let serial = 0

function entry(change: Partial<EnrollmentEntry> = {}): EnrollmentEntry {
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

async function start(files = new MemoryFiles()) {
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

type World = Awaited<ReturnType<typeof start>>

function ask(world: World, method: string, path: string, body?: string | Uint8Array, headers = {}) {
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

const post = (world: World, path: string, body: object) => ask(world, 'POST', path, JSON.stringify(body))

/** Lines of the log above info. */
function warnings({output}: World): string[] {
  return output.filter((line) => line.includes('level=warning') || line.includes('level=error'))
}

test('add, check, status, del, gc', async () => {
  const world = await start()
  assert.deepEqual((await post(world, '/cni/add', POD)).body, {
    enrolled: true,
    rule: 'NamespaceLabel',
    cookie: '7',
  })
  assert.deepEqual((await post(world, '/cni/check', POD)).body, {
    enrolled: true,
    rule: 'NamespaceLabel',
    cookie: '7',
  })
  assert.deepEqual((await ask(world, 'GET', '/cni/status')).body, {ready: true, message: ''})
  await post(world, '/cni/add', {...POD, containerId: 'c2', uid: 'u2', netns: '/run/netns/b'})
  await post(world, '/cni/add', {...POD, containerId: 'c3', uid: 'u3', network: 'second'})
  assert.equal((await post(world, '/cni/del', {...POD, netns: ''})).status, 200)
  const gone = await post(world, '/cni/gc', {
    network: 'net',
    attachments: [{containerId: 'c9', ifName: 'eth0'}],
  })
  assert.deepEqual(gone.body, {collected: 1})
  assert.deepEqual(world.calls, [
    'add u1 /host/run/netns/a',
    'add u2 /host/run/netns/b',
    'add u3 /host/run/netns/a',
    'remove u1 /host/run/netns/a',
    'remove u2 /host/run/netns/b',
  ])
  assert.deepEqual(warnings(world), [])
  await world.side.stop()
})

test('del of what is not known: by its namespace, even a gone one, never by name alone', async () => {
  const world = await start()
  for (const netns of ['/run/netns/b', '/run/netns/missing', '']) {
    assert.equal((await post(world, '/cni/del', {...POD, netns})).status, 200)
  }
  assert.deepEqual(world.calls, ['remove u1 /host/run/netns/b', 'remove u1 /run/netns/missing'])
  await world.side.stop()
})

test('attachments outlive the agent', async () => {
  const first = await start()
  await post(first, '/cni/add', POD)
  await first.side.stop()
  const second = await start(first.files)
  assert.deepEqual((await post(second, '/cni/gc', {network: 'net', attachments: []})).body, {collected: 1})
  assert.deepEqual(second.calls, ['remove u1 /host/run/netns/a'])
  await second.side.stop()
  for (const text of ['{', '{}', '[5,{"containerId":"../x"},null]']) {
    const files = new MemoryFiles()
    files.contents.set('cni-attachments.json', text)
    const third = await start(files)
    assert.deepEqual((await post(third, '/cni/gc', {network: 'net', attachments: []})).body, {collected: 0})
    await third.side.stop()
  }
})

test('check tells what the kernel has', async () => {
  const world = await start()
  world.entries = [entry({captured: false})]
  assert.deepEqual(await post(world, '/cni/check', POD).then(({status, code}) => [status, code]), [
    500,
    'NotCaptured',
  ])
  world.entries = [entry({intent: false, captured: false, rule: 'PodLabelNone'})]
  assert.equal((await post(world, '/cni/check', POD)).body['enrolled'], false)
  assert.equal((await post(world, '/cni/check', {...POD, uid: 'u2'})).code, 'PodNotFound')
  assert.deepEqual(world.calls, [])
  // The kubelet knows a static pod by another uid than the API server.
  await post(world, '/cni/add', {...POD, uid: 'u2'})
  assert.equal((await post(world, '/cni/check', {...POD, uid: 'u2'})).status, 200)
  await world.side.stop()
})

test('failures have a status that tells whether to ask again', async () => {
  const world = await start()
  const rows: [Error, number, string][] = [
    [new KernelError('bpf', 7, 'km_manage'), 500, 'Kernel'],
    [new UnreachableError('connect', 'the API server is away'), 503, 'Unreachable'],
    [new KmeshError('that is the node', {code: 'NodeNamespace'}), 400, 'NodeNamespace'],
    [new KmeshError('gone', {code: 'PodNotFound'}), 404, 'PodNotFound'],
    [new TypeError('a bug'), 500, 'Internal'],
  ]
  for (const [fail, status, code] of rows) {
    world.fail = fail
    const answer = await post(world, '/cni/add', POD)
    assert.deepEqual([answer.status, answer.code], [status, code])
  }
  world.obstacle = 'the agent starts'
  assert.deepEqual((await ask(world, 'GET', '/cni/status')).body, {ready: false, message: 'the agent starts'})
  for (const path of ['/cni/add', '/cni/check']) {
    const {status, code} = await post(world, path, POD)
    assert.deepEqual([status, code], [503, 'Starting'])
  }
  await world.side.stop()
})

test('requests that are wrong reach nobody and are said once', async () => {
  const world = await start()
  const wrong: [string, string, string | Uint8Array | undefined, number][] = [
    ['GET', '/', undefined, 404],
    ['GET', '/cni/add', undefined, 404],
    ['POST', '/cni/status', '{}', 404],
    ['DELETE', '/cni/del', undefined, 404],
    ['POST', '/cni/add/', '{}', 404],
    ['POST', '/cni/add?x=1', '{}', 404],
    ['POST', '/cni/../cni/add', '{}', 404],
    ['POST', '/cni/add', '', 400],
    ['POST', '/cni/add', '{', 400],
    ['POST', '/cni/add', '[]', 400],
    ['POST', '/cni/add', 'null', 400],
    ['POST', '/cni/add', Buffer.from([0x7b, 0xff, 0x7d]), 400],
    ['POST', '/cni/add', 'x'.repeat(70_000), 400],
    ['POST', '/cni/gc', '{"network":"net"}', 400],
    ['POST', '/cni/gc', '{"network":"net","attachments":[5]}', 400],
    ['POST', '/cni/gc', '{"network":"net","attachments":{"length":1}}', 400],
  ]
  const fields: [string, unknown][] = [
    ['containerId', '../etc'],
    ['containerId', 5],
    ['containerId', ''],
    ['netns', ''],
    ['netns', 'relative'],
    ['netns', '/a\0b'],
    ['netns', `/${'x'.repeat(5000)}`],
    ['ifName', 'a/b'],
    ['network', null],
    ['namespace', '../../x'],
    ['namespace', 'UPPER'],
    ['name', ''],
    ['name', 'x'.repeat(300)],
    ['uid', 'a b'],
    ['uid', {}],
  ]
  for (const [field, value] of fields)
    wrong.push(['POST', '/cni/add', JSON.stringify({...POD, [field]: value}), 400])
  for (let round = 0; round < 3; round += 1) {
    for (const [method, path, body, status] of wrong) {
      assert.equal(
        (await ask(world, method, path, body)).status,
        status,
        `${method} ${path} ${String(body).slice(0, 99)}`,
      )
    }
  }
  assert.deepEqual(world.calls, [])
  const said = warnings(world)
  assert.equal(said.length, new Set(said).size)
  assert.ok(said.length >= 10 && said.length <= 20, said.join(''))
  await world.clock.advance(61_000)
  await ask(world, 'POST', '/cni/add', '[]')
  assert.match(warnings(world).at(-1) ?? '', /alsoBefore=\d+/)
  assert.equal((await post(world, '/cni/add', POD)).status, 200)
  await world.side.stop()
})

/** Sends bytes and gives what came back until the end, or after a moment. */
function sendRaw(path: string, bytes: Uint8Array, hangUp: boolean): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect(path)
    const end = (): void => {
      socket.destroy()
      resolve(text)
    }
    socket.on('data', (chunk) => (text += chunk))
    socket.on('error', end)
    socket.on('close', end)
    socket.setTimeout(30, end)
    socket.write(bytes, () => {
      if (hangUp) end()
    })
  })
}

test(`bytes of all kinds, seed ${SEED}`, {timeout: 60_000}, async () => {
  const world = await start()
  const random = new SeededRandom(SEED)
  const good = `POST /cni/add HTTP/1.1\r\nHost: x\r\nContent-Length: ${JSON.stringify(POD).length}\r\n\r\n${JSON.stringify(POD)}`
  const pieces = [
    '\r\n',
    '\r\n\r\n',
    'Content-Length: 99999999999\r\n',
    'Transfer-Encoding: chunked\r\n',
    '{"',
    '\0',
    'X: y\r\n',
  ]
  for (let round = 0; round < 300; round += 1) {
    let bytes = Buffer.from(good)
    for (let change = random.below(6); change >= 0; change -= 1) {
      const at = random.below(bytes.length)
      const put =
        random.below(2) === 0 ? Buffer.from(random.bytes(random.below(20))) : Buffer.from(random.pick(pieces))
      bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + random.below(20))])
    }
    await sendRaw(world.socketPath, bytes, random.below(3) === 0)
  }
  for (const call of world.calls) assert.match(call, /^add [A-Za-z0-9-]* \/host\/[^\0]*$/)
  assert.ok(warnings(world).length <= 40, `${warnings(world).length} lines`)
  assert.equal((await post(world, '/cni/add', POD)).status, 200)
  await world.side.stop()
})

test('the socket: modes, a dead one is replaced, a live one and a file are left alone', async () => {
  const directory = join(folder, 'place')
  const path = join(directory, 'cni.sock')
  mkdirSync(directory, {mode: 0o755})
  // A process that is killed leaves its socket.
  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)},()=>process.kill(process.pid,9))`,
  ])
  assert.ok(statSync(path).isSocket())
  const server = createServer()
  await createLocalSocket(directory, 'cni.sock').listen(server, () => undefined)
  assert.equal((statSync(directory).mode & 0o777).toString(8), '700')
  assert.equal((statSync(path).mode & 0o777).toString(8), '600')
  await assert.rejects(
    createLocalSocket(directory, 'cni.sock').listen(createServer(), () => undefined),
    {code: 'CniSocketInUse'},
  )
  assert.ok(statSync(path).isSocket())
  await new Promise((resolve) => server.close(resolve))
  writeFileSync(path, 'mine')
  await assert.rejects(
    createLocalSocket(directory, 'cni.sock').listen(createServer(), () => undefined),
    {code: 'CniSocket'},
  )
  assert.equal(statSync(path).size, 4)
})

function spawnNobody(script: string, path: string) {
  const nobody = 65_534
  return spawn(process.execPath, ['-e', script, path], {
    uid: nobody,
    gid: nobody,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

test('other users are hung up on', {skip: process.getuid?.() !== 0 && 'needs root'}, async () => {
  const world = await start()
  chmodSync(join(world.socketPath, '..'), 0o777)
  chmodSync(folder, 0o755)
  chmodSync(world.socketPath, 0o777)
  const script = `const s=require('net').connect(process.argv[1]);s.on('data',()=>console.log('data'));s.on('close',()=>console.log('closed'));s.on('error',()=>{});s.write('GET /cni/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')`
  const asOther = await new Promise<string>((resolve) => {
    const child = spawnNobody(script, world.socketPath)
    let text = ''
    child.stdout.on('data', (chunk) => (text += chunk))
    child.on('close', () => resolve(text))
  })
  assert.equal(asOther, 'closed\n')
  assert.match(warnings(world).join(''), /a peer of user 65534 was refused/)
  assert.equal((await ask(world, 'GET', '/cni/status')).status, 200)
  await world.side.stop()
})
