// SPDX-License-Identifier: Apache-2.0
// Goal: the plugin's own small client reads pods with the kubeconfig that the installer writes, in time, and trusts no answer.
// Method: a real TLS server with a certificate of the sandbox's authority; kubeconfigs in JSON and YAML.
import assert from 'node:assert/strict'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import type {IncomingMessage, RequestListener} from 'node:http'
import {createServer} from 'node:https'
import type {AddressInfo, Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {createPodReader} from '../../src/lib/adapters/pod-reader.ts'
import {createAuthority} from '../../src/lib/sandbox/pki.ts'

const folder = mkdtempSync(join(tmpdir(), 'kmt-pod-reader-'))
const sockets = new Set<Socket>()
let respond: RequestListener = () => undefined
let url = ''
let authority = ''
let client: {certificatePem: string; keyPem: string}
let close = (): void => undefined

before(async () => {
  const made = await createAuthority('kmt', Date.now())
  const pair = await made.issueServer(['127.0.0.1'])
  authority = made.certificatePem
  client = await made.issueClient('kmesh-cni', [])
  const tls = {
    cert: pair.certificatePem,
    key: pair.keyPem,
    ca: authority,
    requestCert: true,
    rejectUnauthorized: false,
  }
  const server = createServer(tls, (request, response) => respond(request, response))
  server.on('connection', (socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  close = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
})

after(() => {
  close()
  rmSync(folder, {recursive: true})
})

const base64 = (text: string): string => Buffer.from(text).toString('base64')
let serial = 0

/** @param user - as in a kubeconfig; JSON is YAML too, so one text tests one parser */
function kubeconfig(user: object, cluster: object = {}, asYaml = false): string {
  serial += 1
  const file = join(folder, `kubeconfig-${serial}`)
  const known = {server: url, 'certificate-authority-data': base64(authority), ...cluster}
  const config = {
    'current-context': 'c',
    contexts: [{name: 'c', context: {cluster: 'k', user: 'u'}}],
    clusters: [{name: 'k', cluster: known}],
    users: [{name: 'u', user}],
  }
  writeFileSync(file, asYaml ? `# from an installer\n${JSON.stringify(config)}\n` : JSON.stringify(config))
  return file
}

const POD = {
  metadata: {name: 'web', namespace: 'shop', uid: 'u1', labels: {'istio.io/dataplane-mode': 'kmesh'}},
}

function answer(
  status: number,
  text: string,
  seen: (request: IncomingMessage) => void = () => undefined,
): void {
  respond = (request, response) => {
    seen(request)
    response.writeHead(status, {'Content-Type': 'application/json'}).end(text)
  }
}

test('a token, of the file or of another one; JSON and YAML', async () => {
  writeFileSync(join(folder, 'token'), 'secret\n')
  for (const asYaml of [false, true]) {
    for (const user of [
      {token: 'secret'},
      {tokenFile: 'token'},
      {tokenFile: join(folder, 'token'), token: 'old'},
    ]) {
      let seen = ''
      answer(200, JSON.stringify(POD), ({url: path, headers}) => {
        seen = `${path} ${headers.authorization}`
      })
      const pod = await createPodReader(kubeconfig(user, {}, asYaml)).pod('shop', 'web', 5000)
      assert.equal(pod.metadata.uid, 'u1')
      assert.equal(seen, '/api/v1/namespaces/shop/pods/web Bearer secret')
    }
  }
})

test('a client certificate, a path in the server URL, a namespace', async () => {
  const user = {
    'client-certificate-data': base64(client.certificatePem),
    'client-key-data': base64(client.keyPem),
  }
  let seen = ''
  respond = (request, response) => {
    const {subject} = (
      request.socket as unknown as {getPeerCertificate(): {subject: {CN: string}}}
    ).getPeerCertificate()
    seen = `${request.url} ${subject.CN}`
    response.end(JSON.stringify({metadata: {name: 'shop'}}))
  }
  const reader = createPodReader(kubeconfig(user, {server: `${url}/clusters/a/`}))
  assert.equal((await reader.namespace('shop', 5000)).metadata.name, 'shop')
  assert.equal(seen, '/clusters/a/api/v1/namespaces/shop kmesh-cni')
})

test('a server that nobody vouched for is not told the token', async () => {
  let asked = 0
  answer(200, JSON.stringify(POD), () => {
    asked += 1
  })
  const other = await createAuthority('other', Date.now())
  const file = kubeconfig({token: 'secret'}, {'certificate-authority-data': base64(other.certificatePem)})
  await assert.rejects(createPodReader(file).pod('shop', 'web', 5000), /certificate/)
  const plain = kubeconfig({token: 'secret'}, {server: url.replace('https', 'http')})
  await assert.rejects(createPodReader(plain).pod('shop', 'web', 5000), /without TLS/)
  assert.equal(asked, 0)
})

test('answers that are none', async () => {
  const reader = createPodReader(kubeconfig({token: 'x'}))
  const rows: [number, string, RegExp][] = [
    [404, '{}', /status 404/],
    [401, '{}', /status 401/],
    [200, '', /JSON/],
    [200, '[]', /no such object/],
    [200, '{"metadata":5}', /no such object/],
    [200, '{"metadata":{"labels":5}}', /labels/],
    [
      200,
      '{"metadata":{"labels":{"istio.io/dataplane-mode":{"toLowerCase":1}}}}',
      /labels are not all texts/,
    ],
    [200, `{"metadata":{"name":"${'x'.repeat(5_000_000)}"}}`, /longer than/],
  ]
  for (const [status, text, message] of rows) {
    answer(status, text)
    await assert.rejects(reader.pod('shop', 'web', 5000), message)
  }
})

test('a server that says nothing, or never ends, costs no more than the time given', async () => {
  const reader = createPodReader(kubeconfig({token: 'x'}))
  const silent: RequestListener[] = [
    () => undefined,
    (_request, response) => void response.write('{"metadata":'),
  ]
  for (const behave of silent) {
    respond = behave
    const startMs = performance.now()
    await assert.rejects(reader.pod('shop', 'web', 300), /within 300 ms/)
    assert.ok(performance.now() - startMs < 5000)
  }
})

test('kubeconfigs that cannot be used say why, without a secret', async () => {
  const rows: [string, RegExp][] = [
    [join(folder, 'missing'), /ENOENT/],
    [kubeconfig({exec: {command: 'x'}}), /user.exec is not supported/],
    [kubeconfig({token: 5}), /expected a text/],
    [kubeconfig({token: 'secret'}, {'proxy-url': 'http://p'}), /proxy-url/],
    [kubeconfig({token: 'secret'}, {server: 'nonsense'}), /Invalid URL/],
    [kubeconfig({tokenFile: 'missing'}), /ENOENT/],
  ]
  for (const text of ['', '{', '[]', 'a: [', '{"contexts":5}', '{"token":"secret"', 'a: [secret']) {
    serial += 1
    writeFileSync(join(folder, `bad-${serial}`), text)
    rows.push([join(folder, `bad-${serial}`), /cannot use kubeconfig/])
  }
  for (const [file, message] of rows) {
    await assert.rejects(createPodReader(file).pod('shop', 'web', 1000), (error: Error) => {
      assert.match(error.message, message)
      assert.doesNotMatch(error.message, /secret/)
      return true
    })
  }
})
