// SPDX-License-Identifier: Apache-2.0
// Goal: port-forward and logs reach the kubelet of the pod's node, and failures come back as a Status.
// Method: a fake kubelet behind `dialNode` (a TCP server that records what it gets), raw requests and the real client.
import assert from 'node:assert/strict'
import {once} from 'node:events'
import {createServer as createHttpServer, type Server} from 'node:http'
import {type AddressInfo, connect} from 'node:net'
import {after, before, test} from 'node:test'
import {connect as tlsConnect} from 'node:tls'
import {type Access, call} from '../../contracts/kube-api-client.ts'
import {type ApiFixture, startApi} from './api-fixture.ts'

let fixture: ApiFixture
let access: Access
let kubelet: Server
const seen: string[] = []

before(async () => {
  kubelet = createHttpServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    response.setHeader('content-type', 'text/plain')
    response.end('line 1\nline 2\n')
  })
  kubelet.on('upgrade', (request, socket, head) => {
    const {upgrade, authorization, 'sec-websocket-protocol': protocol} = request.headers
    seen.push(`${request.method} ${request.url} ${upgrade} ${protocol} ${authorization}`)
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    socket.write(head)
    socket.pipe(socket)
  })
  kubelet.listen(0, '127.0.0.1')
  await once(kubelet, 'listening')
  fixture = await startApi({
    dialNode: async (node) => {
      if (node !== 'n1') throw new Error('connect ECONNREFUSED')
      const socket = connect((kubelet.address() as AddressInfo).port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    },
  })
  access = {server: fixture.server, authorityPem: fixture.authority.certificatePem, ...fixture.admin}
  await call(access, 'POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {name: 'shop'},
  })
  for (const [name, nodeName, containers] of [
    ['here', 'n1', ['main']],
    ['two', 'n1', ['main', 'side']],
    ['dead', 'n2', ['main']],
    ['waiting', undefined, ['main']],
  ] as const) {
    const spec = {
      ...(nodeName ? {nodeName} : {}),
      containers: containers.map((container) => ({name: container, image: 'x'})),
    }
    const pod = {apiVersion: 'v1', kind: 'Pod', metadata: {name}, spec}
    assert.equal((await call(access, 'POST', '/api/v1/namespaces/shop/pods', pod)).status, 201)
  }
})
after(async () => {
  await fixture.close()
  kubelet.closeAllConnections()
  kubelet.close()
})

const PODS = '/api/v1/namespaces/shop/pods'

/** Sends an upgrade request over TLS and gives what comes back until `until` is in it. */
async function upgrade(path: string, body: string, until: string): Promise<string> {
  const socket = tlsConnect({
    host: '127.0.0.1',
    port: fixture.port,
    ca: access.authorityPem,
    cert: fixture.admin.certificatePem,
    key: fixture.admin.keyPem,
  })
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer secret\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n`,
  )
  let text = ''
  for await (const chunk of socket) {
    text += chunk
    if (text.includes('101 Switching') && body !== '') socket.write(body)
    if (text.includes(until)) break
  }
  socket.destroy()
  return text
}

test('an upgrade is handed on with its headers, without credentials, and then carries raw bytes', async () => {
  const answer = await upgrade(`${PODS}/here/portforward?ports=8080`, 'ping-pong', 'ping-pong')
  assert.match(answer, /^HTTP\/1\.1 101 /)
  assert.equal(seen.at(-1), 'GET /portForward/shop/here?port=8080 websocket v4.channel.k8s.io undefined')
})

test('port-forward to no pod, no node, a dead node: a Status that says which', async () => {
  assert.match(
    await upgrade(`${PODS}/none/portforward?ports=80`, '', '}\n'),
    /^HTTP\/1\.1 404 [\s\S]*pods \\"none\\" not found/,
  )
  assert.match(
    await upgrade(`${PODS}/waiting/portforward?ports=80`, '', '}\n'),
    /^HTTP\/1\.1 400 [\s\S]*does not have a host assigned/,
  )
  assert.match(
    await upgrade(`${PODS}/dead/portforward?ports=80`, '', '}\n'),
    /^HTTP\/1\.1 500 [\s\S]*error dialing backend: node n2: connect ECONNREFUSED/,
  )
  assert.match(await upgrade(`${PODS}/here/portforward?ports=x`, '', '}\n'), /^HTTP\/1\.1 400 /)
  const plain = await call(access, 'GET', `${PODS}/here/portforward?ports=80`)
  assert.equal(plain.status, 400)
  assert.equal(plain.body.message, 'Upgrade request required')
})

test('logs come from the kubelet, of the only container or the one that is named', async () => {
  const log = await call(access, 'GET', `${PODS}/here/log?tailLines=5&follow=true`)
  assert.deepEqual([log.status, log.text], [200, 'line 1\nline 2\n'])
  assert.equal(seen.at(-1), 'GET /containerLogs/shop/here/main?tailLines=5&follow=true')
  await call(access, 'GET', `${PODS}/two/log?container=side`)
  assert.equal(seen.at(-1), 'GET /containerLogs/shop/two/side?')
  const which = await call(access, 'GET', `${PODS}/two/log`)
  assert.deepEqual(
    [which.status, which.body.message],
    [400, 'a container name must be specified for pod two, choose one of: [main side]'],
  )
  assert.equal((await call(access, 'GET', `${PODS}/dead/log`)).status, 500)
  assert.equal((await call(access, 'GET', `${PODS}/none/log`)).status, 404)
})

test('closing the server ends a port-forward that is open', async () => {
  const own = await startApi({
    dialNode: async () => {
      const socket = connect((kubelet.address() as AddressInfo).port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    },
  })
  const {kube} = own
  const containers = [{name: 'main', image: 'x'}]
  await kube.create(
    {group: '', version: 'v1', resource: 'namespaces'},
    {apiVersion: 'v1', kind: 'Namespace', metadata: {name: 'shop'}},
  )
  const pod = {apiVersion: 'v1', kind: 'Pod', metadata: {name: 'here'}, spec: {nodeName: 'n1', containers}}
  await kube.create({group: '', version: 'v1', resource: 'pods', namespace: 'shop'}, pod)
  const socket = tlsConnect({
    host: '127.0.0.1',
    port: own.port,
    ca: own.authority.certificatePem,
    cert: own.admin.certificatePem,
    key: own.admin.keyPem,
  })
  socket.on('error', () => {})
  socket.write(
    `GET ${PODS}/here/portforward?ports=80 HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  )
  const [first] = await once(socket, 'data')
  assert.match(String(first), /^HTTP\/1\.1 101 /)
  const closed = once(socket, 'close')
  await own.close()
  await closed
})
