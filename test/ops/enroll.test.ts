// SPDX-License-Identifier: Apache-2.0
// Goal: enroll and unenroll do what the plan says, wait as far as daemons can tell, and report each target.
// Method: fake API server and daemons; a clock that jumps; the report and its exit status by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {DeniedError} from '../../src/lib/errors.ts'
import type {PlanOptions} from '../../src/lib/model/plan.ts'
import type {WaitProgress} from '../../src/lib/model/plan-progress.ts'
import {enrollReport} from '../../src/lib/model/plan-result.ts'
import {exitCodeOf} from '../../src/lib/model/report.ts'
import {type CarryOutOptions, carryOut, prepareEnroll} from '../../src/lib/ops/enroll.ts'
import type {Selection} from '../../src/lib/ops/enroll-targets.ts'
import {CAPTURED, entryOf, MODE, namespaceOf, podOf} from '../model/plan-fixtures.ts'
import {FakeClock, type FakeDaemon, FakeKube, fakeDialer} from './enroll-fakes.ts'

interface Run {
  readonly kube: FakeKube
  readonly daemons?: Readonly<Record<string, FakeDaemon>>
  readonly names?: readonly string[]
  readonly selection?: Selection
  readonly podsOf?: string
  readonly options?: Partial<PlanOptions>
  readonly carry?: Partial<CarryOutOptions>
  readonly signal?: AbortSignal
}

/** As the commands do it; the last progress comes along. */
async function run({kube, daemons = {}, names = ['shop'], ...more}: Run) {
  const {dialer, targets, calls} = fakeDialer(daemons)
  const clock = new FakeClock()
  const progress: WaitProgress[] = []
  const deps = {kube: kube.port, dialer, clock, signal: more.signal ?? new AbortController().signal}
  const prepared = await prepareEnroll(deps, {
    options: {
      action: 'enroll',
      overwrite: false,
      allowSystem: false,
      meshNamespace: 'kmesh-system',
      ...more.options,
    },
    selection: more.selection ?? {names, selector: undefined, all: false},
    podsOf: more.podsOf,
    findDaemons: async () => targets,
    concurrency: 4,
  })
  const startMs = clock.nowMs()
  const outcome = await carryOut(deps, prepared, {
    dryRun: 'none',
    wait: {level: undefined, timeoutMs: 60_000},
    onProgress: (step) => progress.push(step),
    ...more.carry,
  })
  const report = enrollReport(prepared.plan, outcome)
  const states = Object.fromEntries(report.items.map((item) => [item.name, stateOf(item)]))
  return {report, states, exitCode: exitCodeOf(report), progress, calls, elapsedMs: clock.nowMs() - startMs}
}

function stateOf(item: {readonly state: string; readonly code: string | null}): string {
  return item.code === null ? item.state : `${item.state} ${item.code}`
}

/** An agent that captures as the labels in the API say, from its n-th look on. */
function agent(kube: FakeKube, looks = 2, uids = ['uid-web']): FakeDaemon {
  let asked = 0
  return {
    entries: () => {
      asked += 1
      const enrolled = kube.labels('namespaces', 'shop')?.[MODE] === 'kmesh'
      return uids.map((uid) => entryOf(uid, enrolled && asked >= looks))
    },
  }
}

test('enroll namespace: writes, and waits until the kernel has the pod', async () => {
  const kube = new FakeKube(namespaceOf('shop'), podOf('web'))
  const {report, states, exitCode, progress} = await run({kube, daemons: {n1: agent(kube, 4)}})
  assert.deepEqual(states, {shop: 'changed', web: 'changed'})
  assert.equal(exitCode, 0)
  assert.deepEqual(kube.labels('namespaces', 'shop'), {[MODE]: 'kmesh'})
  assert.deepEqual(
    progress.map((step) => [step.reached, step.pending.length]),
    [
      [0, 1],
      [1, 0],
    ],
  )
  assert.deepEqual(report.summary, {
    requested: 1,
    ok: 1,
    failed: 0,
    skipped: 0,
    action: 'enroll',
    dryRun: 'none',
    pods: {total: 1, planned: 0, changed: 1, unchanged: 0, pending: 0, skipped: 0, refused: 0, failed: 0},
  })
  const [, pod] = report.items
  assert.deepEqual(
    [pod?.now, pod?.after, pod?.reason, pod?.reached],
    [
      {capture: 'none', source: 'kernel', rule: 'NotLabelled'},
      {capture: 'kmesh'},
      'NamespaceLabel',
      'kernel',
    ],
  )
})

test('one request to a node answers for all of its pods', async () => {
  const names = Array.from({length: 50}, (_, index) => `p${index}`)
  const kube = new FakeKube(namespaceOf('shop'), ...names.map((name) => podOf(name)))
  const {exitCode, calls} = await run({
    kube,
    daemons: {
      n1: agent(
        kube,
        3,
        names.map((name) => `uid-${name}`),
      ),
    },
  })
  assert.equal(exitCode, 0)
  assert.deepEqual(calls, ['n1 version', 'n1 ready', 'n1 enrollment', 'n1 enrollment', 'n1 enrollment'])
})

test('the deadline passes: pending, exit 5, the late pods are named', async () => {
  const kube = new FakeKube(namespaceOf('shop'), podOf('web'), podOf('db'))
  const daemons = {n1: agent(kube, 2, ['uid-db'])}
  const {report, states, exitCode, elapsedMs} = await run({kube, daemons})
  assert.deepEqual(states, {shop: 'changed', db: 'changed', web: 'pending'})
  assert.equal(exitCode, 5)
  assert.equal(elapsedMs, 60_000)
  assert.deepEqual(
    report.errors.map(({code, node, message}) => [code, node, message]),
    [['Timeout', 'n1', '1 of its pods not captured in time: shop/web']],
  )
})

test('a Go daemon: the annotation decides', async () => {
  const kube = new FakeKube(namespaceOf('shop'), podOf('web'))
  const path = {group: '', version: 'v1', resource: 'pods', namespace: 'shop', name: 'web'}
  kube.beforeList = () => {
    if (kube.lists.length === 4) kube.edit(path, (pod) => ({...pod.metadata, annotations: CAPTURED}))
  }
  const {report, states, exitCode, calls} = await run({
    kube,
    daemons: {n1: {version: {gitVersion: 'v1.2.0'}}},
  })
  assert.deepEqual(states, {shop: 'changed', web: 'changed'})
  assert.deepEqual([exitCode, report.items[1]?.reached], [0, 'annotation'])
  assert.deepEqual(calls, ['n1 version', 'n1 ready'])
})

test('--wait-for kernel with a daemon that cannot tell: skipped, not guessed', async () => {
  const kube = new FakeKube(namespaceOf('shop'), podOf('web'))
  const {states, exitCode} = await run({
    kube,
    daemons: {n1: {version: {gitVersion: 'v1.2.0'}}},
    carry: {wait: {level: 'kernel', timeoutMs: 60_000}},
  })
  assert.deepEqual([states, exitCode], [{shop: 'changed', web: 'skipped CannotTell'}, 0])
})

test('--wait-for label ends with the write', async () => {
  const kube = new FakeKube(namespaceOf('shop'), podOf('web'))
  const {states, elapsedMs} = await run({
    kube,
    daemons: {n1: agent(kube, 99)},
    carry: {wait: {level: 'label', timeoutMs: 60_000}},
  })
  assert.deepEqual([states, elapsedMs], [{shop: 'changed', web: 'changed'}, 0])
})

test('--no-wait leaves pods pending and is no failure', async () => {
  const kube = new FakeKube(namespaceOf('shop'), podOf('web'))
  const {states, exitCode} = await run({kube, daemons: {n1: agent(kube)}, carry: {wait: null}})
  assert.deepEqual([states, exitCode], [{shop: 'changed', web: 'pending'}, 0])
})

test('a pod that is deleted meanwhile is not waited for', async () => {
  const kube = new FakeKube(namespaceOf('shop'), podOf('web'))
  kube.beforeList = () => {
    if (kube.lists.length === 2) kube.objects.splice(1, 1)
  }
  const {states, exitCode, elapsedMs} = await run({kube, daemons: {n1: agent(kube, 99)}})
  assert.deepEqual([states, exitCode], [{shop: 'changed', web: 'skipped Gone'}, 0])
  assert.ok(elapsedMs < 10_000)
})

test('nodes without a usable daemon are skipped with their code, and change no exit status', async () => {
  const kube = new FakeKube(
    namespaceOf('shop'),
    podOf('web'),
    podOf('a', {node: 'n2'}),
    podOf('b', {node: 'n3'}),
  )
  const daemons = {n1: agent(kube), n2: {fails: true}}
  const {report, states, exitCode} = await run({kube, daemons})
  assert.deepEqual(states, {
    shop: 'changed',
    a: 'skipped DaemonNotReady',
    b: 'skipped NoDaemonOnNode',
    web: 'changed',
  })
  assert.equal(exitCode, 0)
  assert.deepEqual(
    report.warnings.map(({code}) => code),
    ['OpenConnections', 'Unreachable'],
  )
})

test('dry runs write nothing; the one of the server asks it', async () => {
  const kube = new FakeKube(namespaceOf('shop'), podOf('web'))
  const client = await run({kube, daemons: {n1: agent(kube)}, carry: {dryRun: 'client'}})
  assert.deepEqual([client.states, kube.patches.length], [{shop: 'planned', web: 'planned'}, 0])
  const server = await run({kube, daemons: {n1: agent(kube)}, carry: {dryRun: 'server'}})
  assert.deepEqual(
    [server.states, kube.patches.map((call) => call.dryRun)],
    [{shop: 'planned', web: 'planned'}, [true]],
  )
  assert.deepEqual(kube.labels('namespaces', 'shop'), {})
})

test('enrolled already: no write, said so', async () => {
  const kube = new FakeKube(namespaceOf('shop', 'Kmesh'), podOf('web', {annotations: CAPTURED}))
  const {states, exitCode} = await run({kube, daemons: {n1: {version: {gitVersion: 'v1.2.0'}}}})
  assert.deepEqual(
    [states, exitCode, kube.patches.length],
    [{shop: 'unchanged AlreadyEnrolled', web: 'unchanged'}, 0, 0],
  )
})

test('a name that is not there: the others proceed, exit 4; alone: exit 1', async () => {
  const kube = new FakeKube(namespaceOf('shop'))
  const both = await run({kube, names: ['shop', 'nosuch', 'shop']})
  assert.deepEqual([both.states, both.exitCode], [{shop: 'changed'}, 4])
  assert.deepEqual(
    both.report.errors.map(({code, namespace}) => [code, namespace]),
    [['NotFound', 'nosuch']],
  )
  assert.deepEqual([both.report.summary.requested, both.report.summary.failed], [2, 1])
  const alone = await run({kube, names: ['nosuch']})
  assert.equal(alone.exitCode, 1)
})

test('another value needs --overwrite: refused, exit 7, the others proceed', async () => {
  const kube = new FakeKube(namespaceOf('shop', 'ambient'), namespaceOf('bank'))
  const refused = await run({kube, names: ['shop', 'bank']})
  assert.deepEqual(
    [refused.states, refused.exitCode],
    [{bank: 'changed', shop: 'refused OverwriteNeeded'}, 7],
  )
  const allowed = await run({kube, options: {overwrite: true}})
  assert.deepEqual([allowed.states, allowed.exitCode], [{shop: 'changed'}, 0])
})

test('--all leaves system namespaces out', async () => {
  const kube = new FakeKube(namespaceOf('shop'), namespaceOf('kube-system'), namespaceOf('kmesh-system'))
  const {states, exitCode} = await run({kube, selection: {names: [], selector: undefined, all: true}})
  assert.deepEqual(states, {
    'kmesh-system': 'skipped SystemNamespace',
    'kube-system': 'skipped SystemNamespace',
    shop: 'changed',
  })
  assert.equal(exitCode, 0)
})

test('a selector picks pods', async () => {
  const kube = new FakeKube(
    namespaceOf('shop'),
    podOf('web', {metadata: {labels: {app: 'web'}}}),
    podOf('db'),
  )
  const selection = {names: [], selector: 'app=web', all: false}
  const {states} = await run({kube, selection, podsOf: 'shop', carry: {wait: null}})
  assert.deepEqual(states, {web: 'skipped NoDaemonOnNode'})
  assert.deepEqual(kube.labels('pods', 'web'), {app: 'web', [MODE]: 'kmesh'})
  assert.deepEqual(kube.labels('pods', 'db'), {})
})

test('unenroll pod in an enrolled namespace writes none, else removes the label', async () => {
  const kube = new FakeKube(namespaceOf('shop', 'kmesh'), podOf('web', {mode: 'kmesh'}))
  const options = {action: 'unenroll' as const}
  const none = await run({kube, names: ['web'], podsOf: 'shop', options})
  assert.deepEqual(kube.labels('pods', 'web'), {[MODE]: 'none'})
  assert.ok(none.report.warnings.some((warning) => warning.code === 'NoneWritten'))
  const free = new FakeKube(namespaceOf('shop'), podOf('web', {mode: 'kmesh'}))
  await run({kube: free, names: ['web'], podsOf: 'shop', options})
  assert.deepEqual(free.labels('pods', 'web'), {})
})

test('unenroll namespace waits for the release and names the pods that stay', async () => {
  const kube = new FakeKube(namespaceOf('shop', 'kmesh'), podOf('web'), podOf('db', {mode: 'kmesh'}))
  const daemon: FakeDaemon = {
    entries: () => [
      entryOf('uid-web', kube.labels('namespaces', 'shop')?.[MODE] === 'kmesh'),
      entryOf('uid-db', true, {rule: 'PodLabelKmesh'}),
    ],
  }
  const {report, states, exitCode} = await run({kube, daemons: {n1: daemon}, options: {action: 'unenroll'}})
  assert.deepEqual([states, exitCode], [{shop: 'changed', db: 'unchanged', web: 'changed'}, 0])
  assert.deepEqual(
    report.items.map((item) => item.after?.capture),
    [undefined, 'kmesh', 'none'],
  )
  assert.ok(
    report.warnings.some((warning) => warning.code === 'StaysEnrolled' && /shop\/db/.test(warning.message)),
  )
})

test('a conflicting write fails that target alone: exit 7, its pods are not waited for', async () => {
  const kube = new FakeKube(namespaceOf('shop'), namespaceOf('bank'), podOf('web'))
  kube.beforePatch = ({path}) => {
    if (path.name === 'shop') kube.label(path, {[MODE]: 'none'})
  }
  const {states, exitCode} = await run({kube, names: ['shop', 'bank'], daemons: {n1: agent(kube)}})
  assert.deepEqual(states, {bank: 'changed', shop: 'failed Conflict', web: 'skipped NotWritten'})
  assert.equal(exitCode, 7)
})

test('a write that is not allowed: exit 6, before partial success', async () => {
  const kube = new FakeKube(namespaceOf('shop'), namespaceOf('bank'))
  kube.beforePatch = ({path}) => {
    if (path.name === 'shop') throw new DeniedError(403, 'Forbidden', 'no', {hints: ['verbs: [patch]']})
  }
  const {report, states, exitCode} = await run({kube, names: ['shop', 'bank']})
  assert.deepEqual([states, exitCode], [{bank: 'changed', shop: 'failed Forbidden'}, 6])
  assert.deepEqual(report.errors[0]?.hints, ['verbs: [patch]'])
})

test('a daemon that stops answering meanwhile: exit 5, with its last words', async () => {
  const kube = new FakeKube(namespaceOf('shop'), podOf('web'))
  let looks = 0
  const entries = () => {
    looks += 1
    if (looks > 1) throw new Error('connection refused')
    return [entryOf('uid-web', false)]
  }
  const {report, exitCode} = await run({kube, daemons: {n1: {entries}}})
  assert.equal(exitCode, 5)
  assert.match(report.errors[0]?.message ?? '', /shop\/web; the last look failed: connection refused/)
})

test('an interrupt ends at once, with what is known', async () => {
  const kube = new FakeKube(namespaceOf('shop'), podOf('web'))
  const abort = new AbortController()
  const reason = Object.assign(new Error('interrupted'), {exitCode: 130})
  const onProgress = (): void => abort.abort(reason)
  const hanging: FakeDaemon = {entries: () => [entryOf('uid-web', false)]}
  const carry = {onProgress}
  const {report, states, elapsedMs} = await run({kube, daemons: {n1: hanging}, signal: abort.signal, carry})
  assert.deepEqual(states, {shop: 'changed', web: 'pending'})
  assert.equal(report.errors.length, 1)
  assert.ok(elapsedMs < 100)
})
