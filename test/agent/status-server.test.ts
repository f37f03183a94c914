// SPDX-License-Identifier: Apache-2.0
// Goal: a kubelet learns health and readiness on every address, and nobody learns more than that.
// Method: a real server on a free port; readiness from a variable; requests as sent by hand.
import assert from 'node:assert/strict'
import {connect} from 'node:net'
import {test} from 'node:test'
import {startStatusServer} from '../../src/lib/agent/status-server.ts'
import {KmeshError} from '../../src/lib/errors.ts'
import type {ReadyReply} from '../../src/lib/model/api.ts'
import {ask} from './agent-fixture.ts'
import {memoryLog} from './fakes.ts'

const SECRET = 'pod shop/web-1: no room'
const options = {statusAddress: {host: '127.0.0.1', port: 0}, nodeName: 'n1', log: memoryLog()}

function reply(ok: boolean): ReadyReply {
  const bpf = {name: 'bpf', ok, message: ok ? '' : SECRET} as const
  return {ready: ok, checks: [bpf, {name: 'kubernetes', ok: true, message: ''}]}
}

test('health, readiness, and what is refused', async () => {
  let current = reply(true)
  const server = await startStatusServer(options)
  const get = (path: string, method = 'GET', headers: Record<string, string> = {}) =>
    ask(server.port, method, path, undefined, headers)
  try {
    assert.equal((await get('/healthz')).status, 200)
    assert.equal((await get('/readyz')).status, 503, 'while it starts')
    server.readyIs(() => current)
    assert.equal((await get('/readyz')).status, 200)
    assert.equal((await get('/readyz?verbose', 'HEAD')).status, 200)
    current = reply(false)
    const failed = await get('/readyz')
    assert.equal(failed.status, 503)
    assert.match(failed.body, /\[-\] bpf failed\n\[\+\] kubernetes ok\n/)
    assert.ok(!failed.body.includes('shop'), 'reasons are for the admin API')
    assert.equal((await get('/healthz')).status, 200, 'not ready is no reason to be killed')
    assert.equal((await get('/debug/ready')).status, 404)
    assert.equal((await get('/readyz', 'POST')).status, 405)
    assert.equal((await get('/readyz', 'GET', {Origin: 'http://127.0.0.1'})).status, 403)
    for (const [host, status] of [
      ['10.0.0.7:15020', 200],
      ['[fd00::1]:15020', 200],
      ['N1:15020', 200],
      ['localhost', 200],
      ['evil.example:15020', 403],
      ['kmesh', 403],
    ] as const) {
      assert.equal((await get('/healthz', 'GET', {Host: host})).status, status, host)
    }
  } finally {
    server.close()
  }
})

test('a readiness that throws is not ready, and said', async () => {
  const log = memoryLog()
  const server = await startStatusServer({...options, log})
  server.readyIs(() => {
    throw new Error('broken')
  })
  try {
    assert.equal((await ask(server.port, 'GET', '/readyz')).status, 503)
    assert.deepEqual(log.lines, ['error readiness is not known: broken'])
  } finally {
    server.close()
  }
})

test('a header without an end is cut', async () => {
  const server = await startStatusServer(options)
  try {
    const socket = connect(server.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(20_000)}`)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    await new Promise((resolve) => socket.once('close', resolve))
    assert.match(text, /^HTTP\/1\.1 431 /)
  } finally {
    server.close()
  }
})

test('off listens nowhere; an address that is taken is named', async () => {
  assert.equal((await startStatusServer({...options, statusAddress: undefined})).port, 0)
  const first = await startStatusServer(options)
  try {
    const again = startStatusServer({...options, statusAddress: {host: '127.0.0.1', port: first.port}})
    await assert.rejects(
      again,
      (thrown) =>
        thrown instanceof KmeshError && thrown.code === 'StatusAddress' && /EADDRINUSE/.test(thrown.message),
    )
  } finally {
    first.close()
  }
})

test('every address means both families', async () => {
  const server = await startStatusServer({...options, statusAddress: {host: '0.0.0.0', port: 0}})
  try {
    for (const host of ['127.0.0.1', '::1']) {
      const reply = await fetch(`http://${host.includes(':') ? `[${host}]` : host}:${server.port}/healthz`)
      assert.equal(reply.status, 200, host)
    }
  } finally {
    server.close()
  }
})
