// SPDX-License-Identifier: Apache-2.0
// Goal: first bytes are told apart, whole, in pieces and broken. Method: ClientHellos of Node's own TLS, cut and damaged.
import assert from 'node:assert/strict'
import {Duplex} from 'node:stream'
import {test} from 'node:test'
import {connect} from 'node:tls'
import {readFirstBytes} from '../../../src/lib/sandbox/sidecar/client-hello.ts'

function helloOf(protocols: string[]): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        done()
        resolve(chunk)
        setImmediate(() => client.destroy())
      },
    })
    const client = connect({socket: wire, ALPNProtocols: protocols, servername: 'x'})
    client.on('error', () => {})
  })
}

test('a ClientHello and what it offers', async () => {
  const hello = await helloOf(['istio-peer-exchange', 'istio'])
  assert.deepEqual(readFirstBytes(hello), {kind: 'tls', protocols: ['istio-peer-exchange', 'istio']})
  assert.deepEqual(readFirstBytes(await helloOf([])), {kind: 'tls', protocols: []})
})

test('in pieces it is not there yet, at every length', async () => {
  const hello = await helloOf(['istio'])
  for (let length = 0; length < hello.length; length += 1) {
    assert.deepEqual(readFirstBytes(hello.subarray(0, length)), {kind: 'more'})
  }
})

test('plain text, from its first byte', () => {
  assert.deepEqual(readFirstBytes(Buffer.from('G')), {kind: 'plain'})
})

test('a damaged one never throws, at no byte', async () => {
  const hello = await helloOf(['istio'])
  for (let at = 5; at < hello.length; at += 1) {
    for (const value of [0, 0x7f, 0xff]) {
      const broken = Buffer.from(hello)
      broken[at] = value
      assert.equal(readFirstBytes(broken).kind, 'tls')
    }
  }
  assert.deepEqual(readFirstBytes(Buffer.from([0x16, 3, 1, 0, 1, 1])), {kind: 'tls', protocols: []})
})
