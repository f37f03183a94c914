// SPDX-License-Identifier: Apache-2.0
// Goal: a node answers the API server, and nobody else, on its own address: port-forward into the pod's own
// 127.0.0.1, and a container's output.
// Method: real node, pods and TLS; the client goes the API server's way.
import assert from 'node:assert/strict'
import {once} from 'node:events'
import {request as httpRequest} from 'node:http'
import type {Duplex} from 'node:stream'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {WebSocket} from 'ws'
import {nodeDialer} from '../../../src/lib/sandbox/nodes/dial-node.ts'
import {type Kubelet, startKubelet} from '../../../src/lib/sandbox/nodes/kubelet.ts'
import {type KubeletServer, startKubeletServer} from '../../../src/lib/sandbox/nodes/kubelet-server.ts'
import type {NodeContext} from '../../../src/lib/sandbox/nodes/node-context.ts'
import {type Authority, createAuthority} from '../../../src/lib/sandbox/pki.ts'
import {eventually, type Ground, layNodes} from './node-fixture.ts'

suite('kubelet server', () => {
  let ground: Ground
  let node: NodeContext
  let kubelet: Kubelet
  let server: KubeletServer
  let authority: Authority

  before(async () => {
    ground = await layNodes('server')
    node = ground.nodes[0]!
    kubelet = startKubelet(node, ground.api.informers)
    authority = await createAuthority('test', Date.now())
    server = await startKubeletServer(node, kubelet, {
      ...(await authority.issueServer([node.name, ...node.addresses.map(({address}) => address)])),
      authorityPem: authority.certificatePem,
      clientName: 'api',
    })
    // Listens on 127.0.0.1 of the pod only: what reaches it came from inside.
    const script = `require('net').createServer((s) => s.end('from ' + process.env.POD_NAME)).listen(7000, '127.0.0.1'); for (let i = 1; i <= 100; i++) console.log('line ' + i)`
    ground.api.create('inner', {containers: [{name: 'main', command: ['node', '-e', script]}]})
    await eventually('it listens', () => ground.api.condition('inner', 'Ready') === 'True')
    await sleep(500)
  })
  after(async () => {
    server?.close()
    await ground.down()
  })

  async function dial(clientName: string): Promise<Duplex> {
    const record = {
      name: node.name,
      addresses: node.addresses.map(({address}) => address),
      podCidrs: [],
      networkNamespace: node.namespacePath,
      cgroup: node.cgroup,
      bpfDir: node.bpfDir,
    }
    const client = await authority.issueClient(clientName, [])
    return await nodeDialer([record], node.sockets, authority.certificatePem, client)(node.name)
  }

  async function get(path: string, clientName = 'api'): Promise<{status: number; text: string}> {
    const stream = await dial(clientName)
    const sent = httpRequest({createConnection: () => stream, host: node.name, path}).end()
    const [response] = await once(sent, 'response')
    let text = ''
    for await (const chunk of response) text += chunk
    return {status: response.statusCode, text}
  }

  test('port-forward reaches 127.0.0.1 inside the pod', async () => {
    const stream = await dial('api')
    const websocket = new WebSocket(
      `ws://${node.name}/portForward/shop/inner?port=7000`,
      'v4.channel.k8s.io',
      {
        createConnection: () => stream as never,
      },
    )
    const texts: string[] = []
    websocket.on('message', (data: Buffer) => {
      if (data[0] === 0) texts.push(data.subarray(1).toString('latin1'))
    })
    const [code] = await once(websocket, 'close')
    assert.equal(code, 1000)
    // 7000 is 0x1b58, first byte the low one.
    assert.deepEqual(texts, ['\x58\x1b', 'from inner'])
    assert.equal(websocket.protocol, 'v4.channel.k8s.io')
  })

  for (const [what, path, protocol, status] of [
    ['another pod', '/portForward/shop/none?port=7000', 'v4.channel.k8s.io', 404],
    ['another namespace', '/portForward/other/inner?port=7000', 'v4.channel.k8s.io', 404],
    ['no port', '/portForward/shop/inner', 'v4.channel.k8s.io', 400],
    ['a port that is none', '/portForward/shop/inner?port=70000', 'v4.channel.k8s.io', 400],
    ['another protocol', '/portForward/shop/inner?port=7000', 'v5.channel.k8s.io', 400],
    ['another path', '/exec/shop/inner', 'v4.channel.k8s.io', 404],
  ] as const) {
    test(`an upgrade for ${what} is refused with ${status}`, async () => {
      const stream = await dial('api')
      const websocket = new WebSocket(`ws://${node.name}${path}`, protocol, {
        createConnection: () => stream as never,
      })
      const [, response] = await once(websocket, 'unexpected-response')
      assert.equal(response.statusCode, status)
      stream.destroy()
    })
  }

  test('output: all, the last lines, a limit', async () => {
    const lines = (first: number): string =>
      Array.from({length: 101 - first}, (_, index) => `line ${first + index}\n`).join('')
    assert.deepEqual(await get('/containerLogs/shop/inner/main'), {status: 200, text: lines(1)})
    assert.equal((await get('/containerLogs/shop/inner/main?tailLines=3')).text, lines(98))
    assert.equal((await get('/containerLogs/shop/inner/main?tailLines=0')).text, '')
    assert.equal((await get('/containerLogs/shop/inner/main?tailLines=1000')).text, lines(1))
    assert.equal((await get('/containerLogs/shop/inner/main?limitBytes=9')).text, 'line 1\nli')
    assert.equal((await get('/containerLogs/shop/inner/other')).status, 404)
  })

  test('a certificate of the same authority with another name is refused', async () => {
    assert.equal((await get('/containerLogs/shop/inner/main', 'system:masters')).status, 403)
  })

  test('a certificate of another authority is refused', async () => {
    const other = await createAuthority('other', Date.now())
    const record = {
      name: node.name,
      addresses: [node.addresses[0]!.address],
      podCidrs: [],
      networkNamespace: node.namespacePath,
      cgroup: '',
      bpfDir: '',
    }
    const client = await other.issueClient('api', [])
    await assert.rejects(async () => {
      const stream = await nodeDialer([record], node.sockets, authority.certificatePem, client)(node.name)
      // TLS 1.3 tells the client of it with the first bytes after the handshake.
      const sent = httpRequest({createConnection: () => stream, host: node.name, path: '/healthz'}).end()
      await once(sent, 'response')
    })
  })

  test('an unknown node is an error that names it', async () => {
    await assert.rejects(
      nodeDialer([], node.sockets, '', {certificatePem: '', keyPem: ''})('node-9'),
      /no node "node-9"/,
    )
  })
})
