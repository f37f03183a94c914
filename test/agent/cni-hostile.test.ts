// SPDX-License-Identifier: Apache-2.0
// Goal: the CNI socket serves root, only well-formed requests reach the enroller, hostile ones are answered, said
// once, and change nothing.
// Method: the real server on a real unix socket; seeded bytes (KMESH_FUZZ_SEED repeats a run), another user's process.
import assert from 'node:assert/strict'
import {spawn, spawnSync} from 'node:child_process'
import {chmodSync, mkdirSync, statSync, writeFileSync} from 'node:fs'
import {connect, createServer} from 'node:net'
import {join} from 'node:path'
import {test} from 'node:test'
import {createLocalSocket} from '../../src/lib/adapters/local-socket.ts'
import {SeededRandom} from '../model/random.ts'
import {ask, folder, POD, post, startSide, warnings} from './cni-side.ts'

const SEED = Number(process.env['KMESH_FUZZ_SEED'] ?? 20_261_122)

test('requests that are wrong reach nobody and are said once', async () => {
  const world = await startSide()
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
  const world = await startSide()
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
  const world = await startSide()
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
