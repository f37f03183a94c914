// SPDX-License-Identifier: Apache-2.0
// Goal: a resumed TLS session is still the user whose certificate began it, and nobody else.
// Method: two users; each asks once, and again on a connection that resumes the first one's session.
import assert from 'node:assert/strict'
import {once} from 'node:events'
import {test} from 'node:test'
import {type ConnectionOptions, connect} from 'node:tls'
import {startApi} from './api-fixture.ts'

async function ask(options: ConnectionOptions): Promise<{session: Buffer; reused: boolean; text: string}> {
  const socket = connect({host: '127.0.0.1', servername: '', ...options})
  let session: Buffer = Buffer.alloc(0)
  socket.on('session', (given: Buffer) => {
    session = given
  })
  await once(socket, 'secureConnect')
  const reused = socket.isSessionReused()
  socket.write('GET /api/v1/namespaces/shop HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  let text = ''
  for await (const chunk of socket) text += chunk
  return {session, reused, text}
}

test('who resumes a session is who began it', async (t) => {
  const fixture = await startApi()
  t.after(() => fixture.close())
  const ca = fixture.authority.certificatePem
  for (const [name, groups, expected] of [
    ['root', ['system:masters'], 'namespaces \\"shop\\" not found'],
    ['nobody', [], 'User \\"nobody\\" cannot get resource'],
  ] as const) {
    const {certificatePem: cert, keyPem: key} = await fixture.authority.issueClient(name, groups)
    const first = await ask({ca, cert, key, port: fixture.port})
    const second = await ask({ca, port: fixture.port, session: first.session})
    assert.deepEqual([first.reused, second.reused], [false, true])
    for (const {text} of [first, second]) assert.ok(text.includes(expected), text)
  }
})
