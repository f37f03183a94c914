// SPDX-License-Identifier: Apache-2.0
// Goal: only certificates of the server's own authority are let in, and the user and groups in them decide.
// Method: plain HTTPS requests with no, a foreign, and several good certificates.
import assert from 'node:assert/strict'
import {after, before, test} from 'node:test'
import type {Attributes, User} from '../../../src/lib/sandbox/api/authenticate.ts'
import {createAuthority} from '../../../src/lib/sandbox/pki.ts'
import {type Access, call} from '../../contracts/kube-api-client.ts'
import {type ApiFixture, startApi} from './api-fixture.ts'

let fixture: ApiFixture
let anonymous: Access
const asked: {user: User; attributes: Attributes}[] = []

before(async () => {
  fixture = await startApi({
    authorize: (user, attributes) => {
      asked.push({user, attributes})
      if (user.groups.includes('readers') && ['get', 'list', 'watch'].includes(attributes.verb))
        return undefined
      return 'readers only read'
    },
  })
  anonymous = {server: fixture.server, authorityPem: fixture.authority.certificatePem}
})
after(() => fixture.close())

test('no certificate: 401 with a Status, on every path', async () => {
  for (const path of ['/version', '/api/v1/pods', '/nothing']) {
    const answer = await call(anonymous, 'GET', path)
    assert.equal(answer.status, 401, path)
    assert.equal(answer.body.reason, 'Unauthorized')
    assert.equal(answer.body.kind, 'Status')
  }
})

test('a certificate of another authority of the same name: 401', async () => {
  const other = await createAuthority('kmesh-test', Date.now())
  const client = await other.issueClient('admin', ['system:masters'])
  assert.equal((await call({...anonymous, ...client}, 'GET', '/api/v1/pods')).status, 401)
})

test("a server's certificate is none of a client: 401", async () => {
  const server = await fixture.authority.issueServer(['admin'])
  assert.equal((await call({...anonymous, ...server}, 'GET', '/api/v1/pods')).status, 401)
})

test('groups of the certificate reach authorization; a refusal is worded as Kubernetes does', async () => {
  const reader = {...anonymous, ...(await fixture.authority.issueClient('rita', ['readers', 'staff']))}
  assert.equal((await call(reader, 'GET', '/api/v1/namespaces/shop/pods')).status, 200)
  assert.deepEqual(asked.at(-1), {
    user: {name: 'rita', groups: ['readers', 'staff', 'system:authenticated']},
    attributes: {
      verb: 'list',
      group: '',
      resource: 'pods',
      subresource: '',
      namespace: 'shop',
      name: '',
      path: '',
    },
  })
  const refused = await call(reader, 'DELETE', '/apis/apps/v1/namespaces/shop/deployments/web')
  assert.equal(refused.status, 403)
  assert.equal(refused.body.reason, 'Forbidden')
  assert.equal(
    refused.body.message,
    'deployments.apps "web" is forbidden: User "rita" cannot delete resource "deployments" in API group "apps" in the namespace "shop": readers only read',
  )
})

test('system:masters is asked nothing and may be taken for somebody else; others may not', async () => {
  const master = {...anonymous, ...fixture.admin}
  const before = asked.length
  assert.equal((await call(master, 'GET', '/api/v1/pods')).status, 200)
  assert.equal(asked.length, before)
  const asEve = {headers: {'impersonate-user': 'eve'}}
  assert.equal((await call(master, 'GET', '/api/v1/pods', undefined, asEve)).status, 403)
  const asReader = {headers: {'impersonate-user': 'eve', 'impersonate-group': 'readers'}}
  assert.equal((await call(master, 'GET', '/api/v1/pods', undefined, asReader)).status, 200)
  const reader = {...anonymous, ...(await fixture.authority.issueClient('rita', ['readers']))}
  assert.equal((await call(reader, 'GET', '/api/v1/pods', undefined, asEve)).status, 403)
})

test('what is not part of the sandbox names the way to all of it', async () => {
  const master = {...anonymous, ...fixture.admin}
  for (const [method, path, status] of [
    ['GET', '/apis/batch/v1/jobs', 404],
    ['PUT', '/api/v1/pods', 405],
    ['POST', '/api/v1/namespaces/x/pods/y/exec', 404],
  ] as const) {
    const answer = await call(master, method, path, method === 'PUT' ? {} : undefined)
    assert.equal(answer.status, status, path)
    assert.match(answer.text, /--control-plane/, path)
  }
  const apply = {type: 'application/apply-patch+yaml'}
  await call(master, 'POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {name: 'x'},
  })
  const answer = await call(master, 'PATCH', '/api/v1/namespaces/x', '{}', apply)
  assert.equal(answer.status, 415)
  assert.match(answer.body.message, /--control-plane/)
})
