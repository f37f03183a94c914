// SPDX-License-Identifier: Apache-2.0
// Goal: refusals of a real authorizer end kmeshctl with exit 6 and name the rule that is missing.
// Method: the built kmeshctl with the token of a service account whose only right is to get pods.
import assert from 'node:assert/strict'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {stringify} from 'yaml'
import {call, type Json} from '../../contracts/kube-api-client.ts'
import {runCli} from '../../fakes/cli.ts'
import {type ApiFixture, startApi} from './api-fixture.ts'

const RBAC = 'rbac.authorization.k8s.io'
const USER = 'system:serviceaccount:shop:low'
let fixture: ApiFixture
let folder: string
let kubeconfig: string

async function create(path: string, body: Json): Promise<Json> {
  const access = {server: fixture.server, authorityPem: fixture.authority.certificatePem, ...fixture.admin}
  const answer = await call(access, 'POST', path, body)
  assert.equal(answer.status, 201, answer.text)
  return answer.body
}

before(async () => {
  fixture = await startApi()
  folder = mkdtempSync(join(tmpdir(), `kmt${process.pid}-denied-`))
  for (const name of ['shop', 'kmesh-system'])
    await create('/api/v1/namespaces', {apiVersion: 'v1', kind: 'Namespace', metadata: {name}})
  const accounts = '/api/v1/namespaces/shop/serviceaccounts'
  await create(accounts, {apiVersion: 'v1', kind: 'ServiceAccount', metadata: {name: 'low'}})
  await create(`/apis/${RBAC}/v1/clusterroles`, {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: {name: 'low'},
    rules: [{apiGroups: [''], resources: ['pods'], verbs: ['get']}],
  })
  await create(`/apis/${RBAC}/v1/clusterrolebindings`, {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: {name: 'low'},
    roleRef: {apiGroup: RBAC, kind: 'ClusterRole', name: 'low'},
    subjects: [{kind: 'ServiceAccount', name: 'low', namespace: 'shop'}],
  })
  const request = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {expirationSeconds: 600},
  }
  const {status} = await create(`${accounts}/low/token`, request)
  kubeconfig = join(folder, 'kubeconfig')
  const authority = Buffer.from(fixture.authority.certificatePem).toString('base64')
  const cluster = {server: fixture.server, 'certificate-authority-data': authority}
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'low',
    clusters: [{name: 'low', cluster}],
    users: [{name: 'low', user: {token: status.token}}],
    contexts: [{name: 'low', context: {cluster: 'low', user: 'low'}}],
  }
  writeFileSync(kubeconfig, stringify(config), {mode: 0o600})
})
after(async () => {
  await fixture.close()
  rmSync(folder, {recursive: true, force: true})
})

for (const [command, verb, resource] of [
  ['status', 'list', 'pods'],
  ['log get', 'list', 'pods'],
  ['log list', 'list', 'pods'],
  ['enroll namespace shop --yes', 'get', 'namespaces'],
  ['unenroll namespace shop --yes', 'get', 'namespaces'],
] as const) {
  test(`kmeshctl ${command}: exit 6, and the missing rule`, async () => {
    const {code, stdout, stderr} = await runCli([...command.split(' '), '--kubeconfig', kubeconfig])
    assert.equal(code, 6, stderr)
    assert.equal(stdout, '')
    assert.ok(stderr.includes(`User "${USER}" cannot ${verb} resource "${resource}"`), stderr)
    assert.match(stderr, new RegExp(`resources: \\["${resource}"\\]\\s+verbs: \\["${verb}"\\]`))
  })
}
