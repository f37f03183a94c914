// SPDX-License-Identifier: Apache-2.0
// Goal: the sandbox allows what deploy/rbac.yaml grants, and nothing more. Method: cases by hand on that file.
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {authorizeBy} from '../../src/lib/sandbox/rbac.ts'

const authorize = authorizeBy(readFileSync(join(import.meta.dirname, '../../deploy/rbac.yaml'), 'utf8'))
const DAEMON = {name: 'system:serviceaccount:kmesh-system:kmesh', groups: ['system:authenticated']}
const member = (group: string) => ({name: 'jane', groups: [group, 'system:authenticated']})

for (const [what, user, verb, resource, namespace, allowed] of [
  ['daemon lists pods everywhere', DAEMON, 'list', 'pods', '', true],
  ['daemon watches slices', DAEMON, 'watch', 'discovery.k8s.io/endpointslices', '', true],
  ['daemon annotates a pod', DAEMON, 'patch', 'pods', 'shop', true],
  ['daemon deletes no pod', DAEMON, 'delete', 'pods', 'shop', false],
  ['daemon writes no status', DAEMON, 'patch', 'pods/status', 'shop', false],
  ['slices of the core group are something else', DAEMON, 'watch', 'endpointslices', '', false],
  [
    'another account has nothing',
    {...DAEMON, name: 'system:serviceaccount:shop:kmesh'},
    'list',
    'pods',
    '',
    false,
  ],
  ['a group named like a role has it', member('kmeshctl-view'), 'list', 'nodes', '', true],
  ['and no more', member('kmeshctl-view'), 'patch', 'pods', 'shop', false],
  [
    'a role counts in its namespace',
    member('kmeshctl-daemons'),
    'create',
    'pods/portforward',
    'kmesh-system',
    true,
  ],
  ['and not in another', member('kmeshctl-daemons'), 'create', 'pods/portforward', 'shop', false],
] as const) {
  test(what, () => {
    const [resourceName = '', group = ''] = resource.includes('.')
      ? resource.split('/').reverse()
      : [resource]
    const [name = '', subresource = ''] = resourceName.split('/')
    const attributes = {verb, group, resource: name, subresource, namespace, name: '', path: ''}
    assert.equal(authorize(user, attributes) === undefined, allowed)
  })
}

test('paths without a resource are open', () => {
  const attributes = {
    verb: 'get',
    group: '',
    resource: '',
    subresource: '',
    namespace: '',
    name: '',
    path: '/version',
  }
  assert.equal(authorize(member('nobody'), attributes), undefined)
})
