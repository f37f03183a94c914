// SPDX-License-Identifier: Apache-2.0
// Goal: credentials that stand in a kubeconfig are the same as client-node makes of the same file.
// Method: one file with data, relative paths, tokens, names and exceptions; every user with both.
import assert from 'node:assert/strict'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, test} from 'node:test'
import {KubeConfig} from '@kubernetes/client-node'
import {loadConnection} from '../../src/lib/adapters/kubeconfig.ts'

const folder = mkdtempSync(join(tmpdir(), 'kmt-kubeconfig-'))
after(() => rmSync(folder, {recursive: true}))

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const file = join(folder, 'config')
for (const name of ['ca.pem', 'cert.pem', 'key.pem']) writeFileSync(join(folder, name), `file ${name}`)
writeFileSync(
  file,
  `apiVersion: v1
kind: Config
current-context: data
clusters:
- name: data
  cluster: {server: "https://a:1", certificate-authority-data: ${base64('ca')}, tls-server-name: other}
- name: files
  cluster: {server: "https://b:2", certificate-authority: ca.pem}
- name: open
  cluster: {server: "https://c:3", insecure-skip-tls-verify: true}
users:
- name: data
  user: {client-certificate-data: ${base64('cert')}, client-key-data: ${base64('key')}}
- name: files
  user: {client-certificate: cert.pem, client-key: ./key.pem}
- name: token
  user: {token: secret}
- name: in a file
  user: {tokenFile: ./token, token: ignored}
- name: as
  user: {token: secret, as: somebody}
- name: exec
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: sh
      args: ["-c", 'echo "{\\"apiVersion\\":\\"client.authentication.k8s.io/v1\\",\\"kind\\":\\"ExecCredential\\",\\"status\\":{\\"token\\":\\"run\\"}}"']
      interactiveMode: Never
- name: nobody
  user: {}
contexts:
- name: data
  context: {cluster: data, user: data, namespace: shop}
`,
)

const TLS_NAMES = ['ca', 'cert', 'key', 'rejectUnauthorized', 'servername'] as const

async function ours(cluster: string, user: string) {
  const {tls, headers} = await (await loadConnection({kubeconfig: file, cluster, user})).credentials()
  return {tls, headers}
}

async function theirs(cluster: string, user: string) {
  const config = new KubeConfig()
  config.loadFromFile(file)
  config.contexts = [{name: 'one', cluster, user}]
  config.setCurrentContext('one')
  const options: Record<string, unknown> = {}
  await config.applyToHTTPSOptions(options as never)
  const tls = Object.fromEntries(
    TLS_NAMES.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  )
  return {tls, headers: options['headers']}
}

for (const cluster of ['data', 'files', 'open']) {
  for (const user of ['data', 'files', 'token', 'as', 'exec', 'nobody']) {
    test(`cluster ${cluster}, user ${user}`, async () => {
      const expected = await theirs(cluster, user)
      assert.deepEqual(await ours(cluster, user), expected)
    })
  }
}

test('the values themselves, by hand', async () => {
  assert.deepEqual(await ours('data', 'data'), {
    tls: {ca: Buffer.from('ca'), cert: Buffer.from('cert'), key: Buffer.from('key'), servername: 'other'},
    headers: {},
  })
  assert.deepEqual((await ours('files', 'exec')).headers, {Authorization: 'Bearer run'})
})

test('a token in a file is read each time, from beside the kubeconfig; none says so', async () => {
  const connection = await loadConnection({kubeconfig: file, cluster: 'data', user: 'in a file'})
  const bearer = async () => (await connection.credentials()).headers['Authorization']
  await assert.rejects(bearer(), /no credentials for user 'in a file': .*token/)
  for (const token of ['first', 'second\n']) {
    writeFileSync(join(folder, 'token'), token)
    assert.equal(await bearer(), `Bearer ${token.trim()}`)
  }
  writeFileSync(join(folder, 'token'), '')
  await assert.rejects(bearer(), /is empty/)
})
