// SPDX-License-Identifier: Apache-2.0
// Goal: enroll, unenroll and interop status as scripts and people meet them: output, exit status, questions, interrupts.
// Method: the built kmeshctl against the sandbox's API server over TLS and port-forward, with daemons on real sockets.
import assert from 'node:assert/strict'
import {readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {type Mesh, runKmeshctl, startMesh} from './mesh-fixture.ts'

const FIELDS = 'istio.io/dataplane-mode'
let mesh: Mesh

before(async () => {
  mesh = await startMesh({
    n1: {daemon: 'own'},
    n2: {daemon: 'go'},
    n3: {daemon: 'none'},
    n4: {daemon: 'gone'},
    n5: {daemon: 'own', delayMs: 600_000},
    // Long enough for the live view to be loaded and drawn.
    n6: {daemon: 'own', delayMs: 3000},
  })
})

after(() => mesh.close())

/** A namespace of its own for each test. */
async function namespaceWith(
  name: string,
  pods: Readonly<Record<string, string>>,
  mode?: string,
): Promise<void> {
  await mesh.addNamespace(name, mode)
  for (const [pod, node] of Object.entries(pods)) await mesh.addPod(name, pod, node)
}

interface Item {
  readonly kind: string
  readonly name: string
  readonly state: string
  readonly code: string | null
  readonly reached: string | null
}

function statesOf(stdout: string): Record<string, string> {
  const {items} = JSON.parse(stdout) as {items: Item[]}
  return Object.fromEntries(
    items.map((item) => [item.name, item.code ? `${item.state} ${item.code}` : item.state]),
  )
}

test('enroll namespace: waits for the kernel, says what it skipped, exit 0', async () => {
  await namespaceWith('one', {web: 'n1', far: 'n3', lost: 'n4'})
  const run = await mesh.kmeshctl(['enroll', 'namespace', 'one', '--yes'])
  assert.equal(run.code, 0, run.stderr)
  assert.deepEqual(
    run.stdout.split('\n').map((line) => line.replace(/ {3,}/g, '|')),
    [
      'NAMESPACE|POD|NODE|NOW|AFTER|REASON|STATE|NOTE',
      'one|(namespace)|<none>|<none>|kmesh|Label|changed|<none>',
      'one|far|n3|none|none|NamespaceLabel|skipped|NoDaemonOnNode',
      'one|lost|n4|unknown|unknown|NamespaceLabel|skipped|DaemonNotReady',
      'one|web|n1|none|kmesh|NamespaceLabel|changed|<none>',
      '',
    ],
  )
  assert.match(run.stderr, /1 namespace: 1 changed; 3 pods: 2 skipped, 1 changed/)
  assert.doesNotMatch(run.stdout + run.stderr, /\x1b/)
  assert.equal(await mesh.label('namespaces', 'one'), 'kmesh')
})

test('-o json is one document, and nothing else is on stdout', async () => {
  await namespaceWith('two', {web: 'n1'})
  const run = await mesh.kmeshctl(['enroll', 'namespace', 'two', '-y', '-o', 'json'])
  const document = JSON.parse(run.stdout)
  assert.deepEqual([document.apiVersion, document.kind], ['cli.kmesh.net/v1alpha1', 'EnrollResult'])
  assert.equal(document.items[1].reached, 'kernel')
  assert.equal(run.code, 0)
})

test('the deadline: exit 5, with what is known', async () => {
  await namespaceWith('three', {slow: 'n5', web: 'n1'})
  const run = await mesh.kmeshctl(['enroll', 'namespace', 'three', '-y', '-o', 'json', '--timeout', '1500ms'])
  assert.equal(run.code, 5)
  assert.deepEqual(statesOf(run.stdout), {three: 'changed', slow: 'pending', web: 'changed'})
  assert.match(run.stderr, /error: node n5 \(wait\): 1 of its pods not captured in time: three\/slow/)
})

test('dry runs change nothing', async () => {
  await namespaceWith('four', {web: 'n1'})
  const client = await mesh.kmeshctl(['enroll', 'namespace', 'four', '--dry-run=client'])
  assert.deepEqual([client.code, /planned; 1 pod: 1 planned \(dry run\)/.test(client.stderr)], [0, true])
  const server = await mesh.kmeshctl(['enroll', 'namespace', 'four', '--dry-run=server'])
  assert.deepEqual([server.code, /\(server dry run\)/.test(server.stderr)], [0, true])
  assert.equal(await mesh.label('namespaces', 'four'), undefined)
})

test('the label is written by field manager kmeshctl', async () => {
  await namespaceWith('five', {})
  await mesh.kmeshctl(['enroll', 'namespace', 'five', '-y'])
  const object = await mesh.kube.get({group: '', version: 'v1', resource: 'namespaces', name: 'five'})
  const owner = object.metadata.managedFields?.find((entry) =>
    JSON.stringify(entry.fieldsV1).includes(FIELDS),
  )
  assert.equal(owner?.manager, 'kmeshctl')
})

test('pods: several names, a missing one is exit 4; overwrite is exit 7', async () => {
  await namespaceWith('six', {web: 'n1', db: 'n1'})
  const run = await mesh.kmeshctl(['enroll', 'pod', 'web', 'db', 'nosuch', '-n', 'six', '-o', 'json'])
  assert.equal(run.code, 4)
  assert.deepEqual(statesOf(run.stdout), {db: 'changed', web: 'changed'})
  assert.match(run.stderr, /error: six\/nosuch .*not found/)
  const missing = await mesh.kmeshctl(['enroll', 'pod', 'nosuch', '-n', 'six'])
  assert.equal(missing.code, 1)
  await mesh.kube.mergePatch(
    {group: '', version: 'v1', resource: 'pods', namespace: 'six', name: 'db'},
    {metadata: {labels: {[FIELDS]: 'ambient'}}},
  )
  const refused = await mesh.kmeshctl(['enroll', 'pod', '--all', '-n', 'six', '-o', 'json'])
  assert.equal(refused.code, 7)
  assert.deepEqual(statesOf(refused.stdout), {
    db: 'refused OverwriteNeeded',
    web: 'unchanged AlreadyEnrolled',
  })
})

test('unenroll pod writes none where the namespace enrolls; unenroll namespace releases the rest', async () => {
  await namespaceWith('seven', {web: 'n1', db: 'n1'}, 'kmesh')
  const pod = await mesh.kmeshctl(['unenroll', 'pod', 'web', '-n', 'seven'])
  assert.equal(pod.code, 0, pod.stderr)
  assert.match(pod.stderr, /set to "none" and not removed \(NoneWritten\)/)
  assert.equal(await mesh.label('pods', 'web', 'seven'), 'none')
  const rest = await mesh.kmeshctl(['unenroll', 'namespace', 'seven', '-y', '-o', 'json'])
  assert.equal(rest.code, 0, rest.stderr)
  assert.equal(await mesh.label('namespaces', 'seven'), undefined)
})

test('-o name gives kind/name', async () => {
  await namespaceWith('eight', {web: 'n1'})
  const run = await mesh.kmeshctl(['enroll', 'namespace', 'eight', '--dry-run=client', '-o', 'name'])
  assert.equal(run.stdout, 'namespace/eight\npod/web\n')
})

test('usage errors: exit 2, nothing on stdout, no cluster needed', async () => {
  const nowhere = ['--kubeconfig', '/nonexistent']
  for (const [args, message] of [
    [['enroll', 'namespace', 'shop'], /use --yes/],
    [['unenroll', 'namespace', '--all'], /use --yes/],
    [['enroll', 'namespace', '-y'], /none is named/],
    [['enroll', 'namespace', 'shop', '-l', 'a=b', '-y'], /exclude each other/],
    [['enroll', 'namespace', 'Shop!', '-y'], /is no name of a namespace/],
    [['enroll', 'namespace', 'kube-system', '-y'], /system namespace[\s\S]*--allow-system/],
    [['enroll', 'pod', 'web', '-n', 'istio-system'], /system namespace/],
    [['enroll', 'pod', 'web', '--timeout', '5'], /not a duration/],
    [['unenroll', 'pod', 'web', '--wait-for', 'moon'], /wait-for/],
  ] as const) {
    const run = await runKmeshctl([...args, ...nowhere])
    assert.deepEqual([run.code, run.stdout], [2, ''], args.join(' '))
    assert.match(run.stderr, message)
  }
})

test('a question on a terminal: no is exit 1 and changes nothing', async () => {
  await namespaceWith('nine', {web: 'n1'})
  const run = await mesh.kmeshctl(['enroll', 'namespace', 'nine'], {
    terminal: {waitFor: '[y/N]', type: 'n\n'},
  })
  assert.equal(run.code, 1)
  assert.match(
    run.stdout,
    /nine +web +n1 +none +kmesh +NamespaceLabel +planned[\s\S]*Enroll namespace nine\? 1 of 1 pod/,
  )
  assert.match(run.stdout, /cancelled, nothing was changed/)
  assert.equal(await mesh.label('namespaces', 'nine'), undefined)
})

for (const [key, type, code, says] of [
  ['Ctrl-C', '\x03', 130, /interrupted\r\n$/],
  ['Ctrl-D', '\x04', 1, /cancelled, nothing was changed\r\n$/],
] as const) {
  test(`${key} at the question changes nothing: exit ${code}`, async () => {
    const name = `asked-${code}`
    await namespaceWith(name, {web: 'n1'})
    const run = await mesh.kmeshctl(['enroll', 'ns', name], {terminal: {waitFor: '[y/N]', type}})
    assert.equal(run.code, code, run.stdout)
    assert.match(run.stdout, says)
    assert.equal(await mesh.label('namespaces', name), undefined)
  })
}

test('yes goes on, with live progress', async () => {
  await namespaceWith('ten', {web: 'n6'})
  const run = await mesh.kmeshctl(['enroll', 'namespace', 'ten'], {terminal: {waitFor: '[y/N]', type: 'y\n'}})
  assert.equal(run.code, 0)
  assert.match(run.stdout, /0\/1 captured/)
  assert.equal(await mesh.label('namespaces', 'ten'), 'kmesh')
})

test('live progress on stderr leaves a redirected stdout clean', async () => {
  await namespaceWith('fourteen', {web: 'n6'})
  const stdoutFile = join(tmpdir(), `kmt${process.pid}-stdout`)
  const terminal = {waitFor: '[y/N]', type: 'y\n', stdoutFile}
  const run = await mesh.kmeshctl(['enroll', 'namespace', 'fourteen', '-o', 'name'], {terminal})
  const stdout = readFileSync(stdoutFile, 'utf8')
  rmSync(stdoutFile)
  assert.match(run.stdout, /0\/1 captured/)
  assert.equal(stdout, 'namespace/fourteen\npod/web\n')
})

test('no live progress with CI or TERM=dumb', async () => {
  await namespaceWith('eleven', {web: 'n1'})
  for (const env of [{CI: '1'}, {TERM: 'dumb'}]) {
    const args = ['enroll', 'namespace', 'eleven', '-y', '--overwrite']
    const run = await mesh.kmeshctl(args, {terminal: {waitFor: 'never', type: ''}, env})
    assert.doesNotMatch(run.stdout, /\x1b\[\?25l/)
    await mesh.kmeshctl(['unenroll', 'namespace', 'eleven', '-y'])
  }
})

test('Ctrl-C ends at once with a whole document: exit 130', async () => {
  await namespaceWith('twelve', {slow: 'n5'})
  const startMs = performance.now()
  let sentMs = 0
  const run = await mesh.kmeshctl(['enroll', 'namespace', 'twelve', '-y', '-o', 'json'], {
    signalAfter: {text: '0 of 1 pod captured', signal: 'SIGINT', onSent: () => (sentMs = performance.now())},
  })
  const document = JSON.parse(run.stdout)
  assert.equal(run.code, 130)
  assert.deepEqual(statesOf(run.stdout), {twelve: 'changed', slow: 'pending'})
  assert.equal(document.errors[0].code, 'Interrupted')
  assert.ok(sentMs > startMs && performance.now() - sentMs < 1000, `${performance.now() - sentMs} ms`)
})

test('interop status: exit 0 with daemons that do not answer; -o json tells where it knows from', async () => {
  await namespaceWith('thirteen', {web: 'n1', go: 'n2', far: 'n3', lost: 'n4'}, 'kmesh')
  const run = await mesh.kmeshctl(['interop', 'status', '-n', 'thirteen', '-o', 'json'])
  assert.equal(run.code, 0, run.stderr)
  const document = JSON.parse(run.stdout)
  assert.equal(document.kind, 'InteropStatus')
  const rows = document.items
    .slice(1)
    .map((item: Record<string, unknown>) => [
      item['name'],
      item['intent'],
      item['capture'],
      item['source'],
      item['state'],
    ])
  assert.deepEqual(rows.slice(0, 3), [
    ['far', 'kmesh', 'none', 'annotation', 'pending'],
    ['go', 'kmesh', 'none', 'annotation', 'pending'],
    ['lost', 'kmesh', null, 'none', null],
  ])
  assert.deepEqual([rows[3][0], rows[3][3]], ['web', 'kernel'])
  assert.deepEqual(
    document.errors.map((error: Record<string, unknown>) => error['node']),
    ['n4'],
  )
  assert.deepEqual(document.summary.namespaces, 1)
})

test('interop status of a namespace that is not there: exit 1, one document', async () => {
  const run = await mesh.kmeshctl(['interop', 'status', '-n', 'nosuch', '-o', 'json'])
  assert.equal(run.code, 1)
  assert.equal(JSON.parse(run.stdout).errors[0].code, 'NotFound')
})
