// SPDX-License-Identifier: Apache-2.0
// Goal: one server answers on several listeners, also on descriptors of sockets that somebody else made to listen.
// Method: a second port, and the descriptor of a listening socket that a helper process leaves to us.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {createNetns} from '../../../src/lib/adapters/netns.ts'
import {call} from '../../contracts/kube-api-client.ts'
import {startApi} from './api-fixture.ts'

test('the same objects are served on an address and on a descriptor; close ends all', async () => {
  const fixture = await startApi()
  const access = {authorityPem: fixture.authority.certificatePem, ...fixture.admin}
  const port = await fixture.api.listen({host: '127.0.0.1', port: 0})
  const fd = createNetns().listen('/proc/self/ns/net', '127.0.0.1', 0)
  const fdPort = await fixture.api.listen({fd})
  assert.equal(new Set([fixture.port, port, fdPort]).size, 3)
  const space = {apiVersion: 'v1', kind: 'Namespace', metadata: {name: 'shop'}}
  assert.equal(
    (await call({...access, server: fixture.server}, 'POST', '/api/v1/namespaces', space)).status,
    201,
  )
  for (const other of [port, fdPort]) {
    const server = `https://127.0.0.1:${other}`
    assert.equal(
      (await call({...access, server}, 'GET', '/api/v1/namespaces/shop')).body.metadata.name,
      'shop',
    )
  }
  await fixture.close()
  for (const gone of [fixture.port, port, fdPort]) {
    await assert.rejects(call({...access, server: `https://127.0.0.1:${gone}`}, 'GET', '/version'), {
      code: 'ECONNREFUSED',
    })
  }
})
