// SPDX-License-Identifier: Apache-2.0
// Goal: whatever sits on the socket, the plugin ends in time with an answer of the protocol.
// Method: the bundle is executed against servers on unix sockets that answer with bytes of all kinds, or not.
import assert from 'node:assert/strict'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {createServer, type Server, type Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, test} from 'node:test'
import {execPlugin, PREV_RESULT, podArgs} from './exec-plugin.ts'

const folder = mkdtempSync(join(tmpdir(), 'kmt-cni-wrong-'))
const cache = join(folder, 'cache.json')
writeFileSync(cache, JSON.stringify({version: 1, writtenAt: '', namespaces: ['shop'], pods: {}}))
after(() => rmSync(folder, {recursive: true}))

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
const YES = '{"enrolled":true,"rule":"PodLabelKmesh","cookie":"1"}'

async function add(socket: string, namespace: string, timeoutSeconds = 0.5) {
  const config = {cniVersion: '1.0.0', name: 'n', socket, cache, timeoutSeconds}
  const {status, stdout, stderr, tookMs} = await execPlugin({
    logFile: join(folder, 'log'),
    input: `${JSON.stringify(config).slice(0, -1)},"prevResult":${PREV_RESULT}}`,
    env: {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: '/run/netns/x',
      CNI_IFNAME: 'eth0',
      CNI_ARGS: podArgs(namespace, 'web', 'u'),
    },
  })
  assert.equal(stderr, '')
  assert.ok(tookMs < 8000, `${tookMs} ms`)
  return {status, stdout}
}

let serial = 0

async function against(
  behave: (socket: Socket) => void,
  use: (path: string) => Promise<void>,
): Promise<void> {
  serial += 1
  const path = join(folder, `${serial}.sock`)
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    behave(socket)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  try {
    await use(path)
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}

const WRONG: readonly (readonly [string, (socket: Socket) => void])[] = [
  ['closes at once', (socket) => socket.destroy()],
  ['says nothing', (socket) => void socket.resume()],
  ['half a head', (socket) => void socket.write('HTTP/1.1 200')],
  ['half a body', (socket) => void socket.write(`${HEAD}Content-Length: 500\r\n\r\n{"enrolled":`)],
  ['a body that ends early', (socket) => void socket.end(`${HEAD}Content-Length: 500\r\n\r\n${YES}`)],
  ['bytes', (socket) => void socket.end(Buffer.from([0, 255, 1, 2, 13, 10, 13, 10]))],
  ['another protocol', (socket) => void socket.end('220 mail ready\r\n')],
  ['no JSON', (socket) => void socket.end(`${HEAD}Content-Length: 5\r\n\r\n<htm>`)],
  ['a list', (socket) => void socket.end(`${HEAD}Content-Length: 2\r\n\r\n[]`)],
  [
    'a redirect',
    (socket) => void socket.end('HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n'),
  ],
  ['an endless body', (socket) => endless(socket, `${HEAD}\r\n`)],
  ['an endless head', (socket) => endless(socket, 'HTTP/1.1 200 OK\r\nX-A: ')],
]

function endless(socket: Socket, head: string): void {
  socket.write(head)
  const more = (): void => {
    while (!socket.destroyed && socket.write('a'.repeat(65_536)));
  }
  socket.on('drain', more)
  more()
}

for (const [name, behave] of WRONG) {
  test(`the agent's socket: ${name}`, {timeout: 60_000}, async () => {
    await against(behave, async (path) => {
      const enrolled = await add(path, 'shop')
      assert.equal(enrolled.status, 1)
      assert.ok([11, 100].includes((JSON.parse(enrolled.stdout) as {code: number}).code), enrolled.stdout)
      assert.deepEqual(await add(path, 'plain'), {status: 0, stdout: PREV_RESULT})
    })
  })
}

test('right answers in odd pieces are understood', {timeout: 60_000}, async () => {
  const slowly = (socket: Socket): void => {
    const text = `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n${YES.slice(0, 5)}\r\n${(YES.length - 5).toString(16)}\r\n${YES.slice(5)}\r\n0\r\n\r\n`
    for (const byte of text) socket.write(byte)
  }
  await against(slowly, async (path) => assert.equal((await add(path, 'shop')).stdout, PREV_RESULT))
})

test('a folder or a file in the place of the socket', {timeout: 60_000}, async () => {
  mkdirSync(join(folder, 'directory'))
  for (const path of [join(folder, 'directory'), cache, '/dev/null', join(folder, 'x'.repeat(200))]) {
    assert.match((await add(path, 'shop')).stdout, /"code":11/)
    assert.equal((await add(path, 'plain')).status, 0)
  }
})
