// SPDX-License-Identifier: Apache-2.0
// Goal: kubectl works against the sandbox's API as its users expect.
// Method: every kubectl of this machine (1.28 to 1.33), against a server with controllers and a fake kubelet; one row a command.
import assert from 'node:assert/strict'
import {execFile, spawn} from 'node:child_process'
import {existsSync, globSync, mkdtempSync, realpathSync, rmSync, writeFileSync} from 'node:fs'
import {createServer, type Server} from 'node:http'
import {type AddressInfo, connect} from 'node:net'
import {tmpdir} from 'node:os'
import {basename, dirname, join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {promisify} from 'node:util'
import {createClock} from '../../../src/lib/adapters/clock.ts'
import {RESOURCES} from '../../../src/lib/model/kube.ts'
import type {DialNode} from '../../../src/lib/sandbox/api/kubelet.ts'
import {serveLog} from '../../../src/lib/sandbox/nodes/container-logs.ts'
import {type ApiFixture, addNodes, eventually, startApi, startFakeKubelet} from './api-fixture.ts'
import {CUSTOM, DEFINITION, MANIFEST, ROWS} from './kubectl-rows.ts'

const run = promisify(execFile)

/** The binaries beside a dispatcher, each of a version of its own; else the one that there is. */
function kubectls(): string[] {
  const found = (process.env['PATH'] ?? '')
    .split(':')
    .map((folder) => join(folder, 'kubectl'))
    .find((file) => existsSync(file))
  if (found === undefined) return []
  const beside = globSync(`${dirname(realpathSync(found))}/kubectl.1.*`)
  const wanted = beside.filter((file) => /\.1\.(28|30|32|33)$/.test(file)).sort()
  return wanted.length > 0 ? wanted : [found]
}

const binaries = kubectls()
const FILES: Readonly<Record<string, string>> = {
  MANIFEST,
  DEFINITION,
  CUSTOM,
  TYPO: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: typo, namespace: default}\ndta: {}\n',
  SETTINGS: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: default}\n',
}

/** A kubelet that knows the output of every container: two lines. */
function dialLogs(folder: string, servers: Server[]): DialNode {
  const file = join(folder, 'output')
  writeFileSync(file, 'first\nsecond\n')
  const server = createServer((request, response) => {
    const query = new URL(request.url ?? '/', 'http://node').searchParams
    const tailLines = query.has('tailLines') ? Number(query.get('tailLines')) : undefined
    const options = {tailLines, limitBytes: undefined, follow: query.get('follow') === 'true'}
    void serveLog(file, options, response, createClock(), () => true)
  })
  servers.push(server)
  const listening = new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
  return async () => connect(await listening, '127.0.0.1')
}

const skip = binaries.length === 0 && 'there is no kubectl on this machine'

suite('kubectl against the sandbox API', {skip, concurrency: true}, () => {
  for (const kubectl of binaries) suite(basename(kubectl), {concurrency: 1}, () => table(kubectl))
})

function table(kubectl: string): void {
  const servers: Server[] = []
  let fixture: ApiFixture
  let folder: string
  let stopKubelet = (): void => {}
  const words = (command: string): string[] =>
    command.split(' ').map((word) => (FILES[word] === undefined ? word : join(folder, word)))
  const env = (): NodeJS.ProcessEnv => ({
    ...process.env,
    KUBECONFIG: fixture.kubeconfigFile,
    KUBECACHEDIR: join(folder, 'cache'),
  })

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), `kmt${process.pid}-${basename(kubectl)}-`))
    for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text)
    fixture = await startApi({controllers: true, dialNode: dialLogs(folder, servers)})
    await addNodes(fixture.kube, 'n1', 'n2')
    await fixture.kube.create(RESOURCES.namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {name: 'default'},
    })
    stopKubelet = startFakeKubelet(fixture)
  })
  after(async () => {
    stopKubelet()
    await fixture.close()
    for (const server of servers) server.close()
    rmSync(folder, {recursive: true, force: true})
  })

  for (const {command, output, failure} of ROWS) {
    test(`kubectl ${command}`, async () => {
      const ran = run(kubectl, words(command), {env: env(), timeout: 30_000})
      if (failure !== undefined) {
        await assert.rejects(ran, (thrown: {stderr?: string}) => {
          assert.match(thrown.stderr ?? '', failure)
          return true
        })
        return
      }
      assert.match((await ran).stdout, output ?? /^$/)
    })
  }

  test('kubectl get --watch shows changes as rows', async () => {
    await fixture.kube.create(
      {group: '', version: 'v1', resource: 'namespaces'},
      {apiVersion: 'v1', kind: 'Namespace', metadata: {name: 'seen'}},
    )
    const child = spawn(kubectl, ['get', 'ns', 'seen', '--watch', '--no-headers'], {env: env()})
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
    })
    try {
      await eventually(() => /^seen +Active/.test(text) || undefined)
      await fixture.kube.delete({group: '', version: 'v1', resource: 'namespaces', name: 'seen'})
      await eventually(() => /seen +Terminating/.test(text) || undefined)
    } finally {
      child.kill()
    }
  })

  test('nothing was said to be wrong', () => {
    assert.deepEqual(fixture.problems, [])
  })
}
