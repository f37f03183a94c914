// SPDX-License-Identifier: Apache-2.0
// Goal: what a DestinationRule says can end a connection, never the sidecar.
// Method: a real connection, and a rule whose name for TLS is an address, which Node refuses to send.
import assert from 'node:assert/strict'
import {once} from 'node:events'
import {connect, createServer, type Socket} from 'node:net'
import {test} from 'node:test'
import {type ConnectionLine, ConnectionRecord} from '../../../src/lib/sandbox/sidecar/connection-log.ts'
import {handleOutbound} from '../../../src/lib/sandbox/sidecar/outbound.ts'

test('an address as name for TLS: refused, and said', async () => {
  const lines: ConnectionLine[] = []
  const record = new ConnectionRecord(
    {
      direction: 'outbound',
      source: '',
      destination: '',
      endpoint: null,
      service: null,
      tls: 'none',
      peer: null,
    },
    (line) => lines.push(line),
  )
  const service = {
    name: 'cart',
    namespace: 'shop',
    port: 80,
    addresses: ['10.96.0.1'],
    headless: false,
    sni: '192.0.2.1',
    insecureSkipVerify: false,
    endpoints: [{address: '127.0.0.1', port: 9, send: 'simple', peers: []}],
  } as const
  const config = {
    identity: '',
    receive: {mode: 'PERMISSIVE', ports: {}},
    services: [service],
    certificatePem: '',
    keyPem: '',
    authorityPem: '',
  } as const
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as {port: number}
  const client = connect(port, '127.0.0.1')
  const closed = once(client, 'close')
  const [downstream] = (await once(server, 'connection')) as [Socket]
  try {
    handleOutbound(downstream, {address: '10.96.0.1', port: 80}, config, record, () => 0)
    client.resume()
    await closed
    assert.match(lines[0]?.result ?? '', /^refused: .*IP address/)
  } finally {
    client.destroy()
    downstream.destroy()
    server.close()
  }
})
