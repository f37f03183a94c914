// SPDX-License-Identifier: Apache-2.0
// Goal: the sandbox allows what deploy/rbac.yaml grants, and nothing more.
// Method: the file's objects in a store, as the sandbox creates them; cases by hand.
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {collectionOf} from '../../src/lib/sandbox/manifests.ts'
import {roleObjects} from '../../src/lib/sandbox/roles.ts'
import {call} from '../contracts/kube-api-client.ts'
import {type ApiFixture, startApi} from './api/api-fixture.ts'

const DAEMON = 'system:serviceaccount:kmesh-system:kmesh'
let fixture: ApiFixture

before(async () => {
  fixture = await startApi()
  const text = readFileSync(join(import.meta.dirname, '../../deploy/rbac.yaml'), 'utf8')
  for (const object of roleObjects(text)) await fixture.kube.create(collectionOf(object), object)
})
after(() => fixture.close())

for (const [what, user, verb, resource, namespace, allowed] of [
  ['daemon lists pods everywhere', DAEMON, 'list', 'pods', '', true],
  ['daemon watches slices', DAEMON, 'watch', 'discovery.k8s.io/endpointslices', '', true],
  ['daemon annotates a pod', DAEMON, 'patch', 'pods', 'shop', true],
  ['daemon deletes no pod', DAEMON, 'delete', 'pods', 'shop', false],
  ['daemon writes no status', DAEMON, 'patch', 'pods//status', 'shop', false],
  ['slices of the core group are something else', DAEMON, 'watch', 'endpointslices', '', false],
  ['another account has nothing', 'system:serviceaccount:shop:kmesh', 'list', 'pods', '', false],
  ['a group named like a role has it', 'kmeshctl-view', 'list', 'nodes', '', true],
  ['and no more', 'kmeshctl-view', 'patch', 'pods', 'shop', false],
  ['a role counts in its namespace', 'kmeshctl-daemons', 'create', 'pods//portforward', 'kmesh-system', true],
  ['and not in another', 'kmeshctl-daemons', 'create', 'pods//portforward', 'shop', false],
] as const) {
  test(what, async () => {
    const [path = '', subresource = ''] = resource.split('//')
    const [name = '', group = ''] = path.split('/').reverse()
    const who = user.includes(':') ? {user} : {user: 'jane', groups: [user]}
    const answer = await call(
      {server: fixture.server, authorityPem: fixture.authority.certificatePem, ...fixture.admin},
      'POST',
      '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {...who, resourceAttributes: {verb, group, resource: name, subresource, namespace}},
      },
    )
    assert.equal(answer.body.status.allowed, allowed, answer.text)
  })
}
