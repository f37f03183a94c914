// SPDX-License-Identifier: Apache-2.0
// Goal: a node starts its pods through its conflist folder, by the CNI protocol: ADD in order with the result of the one
// before, DEL in reverse order with the kept result, errors shown and tried again, nothing left, an end never held up.
// Method: real pods on a real node; plugins are shell scripts that write down what they were given.
import assert from 'node:assert/strict'
import {existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, beforeEach, suite, test} from 'node:test'
import {type CniFolders, cniFolders} from '../../../src/lib/sandbox/nodes/cni-conflist.ts'
import {type Kubelet, startKubelet} from '../../../src/lib/sandbox/nodes/kubelet.ts'
import type {NodeContext} from '../../../src/lib/sandbox/nodes/node-context.ts'
import {eventually, type FakePods, type Ground, layNodes} from './node-fixture.ts'

/** Writes `COMMAND.PLUGIN.env` and `.stdin`, a line into `order`; prints its prevResult and its own name. */
const RECORDER = `#!/bin/sh
cd DIR || exit 1
me=\${0##*/}
env > "$CNI_COMMAND.$me.env"
cat > "$CNI_COMMAND.$me.stdin"
ip -o link show | sed 's/^[0-9]*: //; s/[@:].*//' | sort > "$CNI_COMMAND.$me.links"
echo "$CNI_COMMAND $me" >> order
if [ -e "fail.$CNI_COMMAND.$me" ]; then cat "fail.$CNI_COMMAND.$me"; exit 1; fi
[ "$CNI_COMMAND" = DEL ] || echo "{\\"cniVersion\\":\\"1.0.0\\",\\"madeBy\\":\\"$me\\"}"
`

// biome-ignore lint/suspicious/noExplicitAny: what a plugin was given, read as a plugin reads it
type Json = any

suite('network of pods by CNI', () => {
  let ground: Ground
  let node: NodeContext
  let api: FakePods
  let kubelet: Kubelet
  let folders: CniFolders
  let notes: string

  before(async () => {
    ground = await layNodes('cni')
    node = ground.nodes[0]!
    api = ground.api
    kubelet = startKubelet(node, api.informers)
    folders = cniFolders(node.paths, node.name)
    notes = join(node.paths.runDir, 'notes')
  })
  after(() => ground.down())
  beforeEach(() => {
    rmSync(notes, {recursive: true, force: true})
    mkdirSync(notes)
    for (const name of ['first', 'second']) {
      writeFileSync(join(folders.programDir, name), RECORDER.replace('DIR', notes), {mode: 0o755})
    }
  })

  const read = (file: string): string => readFileSync(join(notes, file), 'utf8')
  const stdin = (call: string): Json => JSON.parse(read(`${call}.stdin`))
  const order = (): string[] => (existsSync(join(notes, 'order')) ? read('order').trim().split('\n') : [])
  const variables = (call: string): Record<string, string> =>
    Object.fromEntries(
      read(`${call}.env`)
        .trim()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    )

  function writeList(plugins: object[], file = '10-sandbox.conflist'): void {
    writeFileSync(
      join(folders.configDir, file),
      JSON.stringify({cniVersion: '1.0.0', name: 'test', plugins: [{type: 'sandbox-network'}, ...plugins]}),
    )
  }

  const waiting = (pod: string) => api.status(pod).containerStatuses?.[0]?.state?.waiting
  function create(name: string): void {
    api.create(name, {containers: [{name: 'main', command: ['sleep', '600']}]})
  }
  async function remove(name: string): Promise<void> {
    api.markDeleted(name, 0)
    await eventually(`${name} is gone`, () => !api.pods.has(name))
  }

  test('each plugin is given its configuration, the pod and the result of the one before', async () => {
    writeList([{type: 'first', setting: {deep: [1]}}, {type: 'second'}])
    writeFileSync(join(folders.configDir, '20-other.conflist'), '{}')
    create('chain')
    await eventually('it is Ready', () => api.condition('chain', 'Ready') === 'True')
    const {uid, addresses} = kubelet.pod('shop', 'chain')!.facts
    const netns = kubelet.pod('shop', 'chain')!.namespacePath
    assert.deepEqual(order(), ['ADD first', 'ADD second'])
    assert.deepEqual(stdin('ADD.first'), {
      type: 'first',
      setting: {deep: [1]},
      name: 'test',
      cniVersion: '1.0.0',
      prevResult: {
        cniVersion: '1.0.0',
        interfaces: [{name: 'eth0', sandbox: netns}],
        ips: [
          {address: `${addresses[0]?.address}/32`, interface: 0},
          {address: `${addresses[1]?.address}/128`, interface: 0},
        ],
        routes: [{dst: '0.0.0.0/0'}, {dst: '::/0'}],
        dns: {},
      },
    })
    assert.deepEqual(stdin('ADD.second').prevResult, {cniVersion: '1.0.0', madeBy: 'first'})
    const given = variables('ADD.first')
    assert.equal(given['CNI_NETNS'], netns)
    assert.equal(given['CNI_IFNAME'], 'eth0')
    assert.equal(given['CNI_PATH'], folders.programDir)
    assert.match(given['CNI_CONTAINERID'] ?? '', /^[0-9a-f]{64}$/)
    assert.equal(
      given['CNI_ARGS'],
      `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=chain;K8S_POD_INFRA_CONTAINER_ID=${given['CNI_CONTAINERID']};K8S_POD_UID=${uid}`,
    )
    assert.equal(given['PATH'], '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')
    assert.ok(
      read('ADD.first.links').split('\n').length > 2,
      'it runs in the network of the node: links of pods',
    )
  })

  test('DEL goes in reverse order with the kept configuration and result', async () => {
    writeList([{type: 'first', changed: true}])
    await remove('chain')
    assert.deepEqual(order(), ['DEL second', 'DEL first'])
    assert.deepEqual(stdin('DEL.first').prevResult, {cniVersion: '1.0.0', madeBy: 'second'})
    assert.equal(stdin('DEL.first').changed, undefined)
    assert.equal(variables('DEL.first')['CNI_COMMAND'], 'DEL')
  })

  test('a plugin that fails keeps the pod from starting, says why, and is asked again', async () => {
    writeList([{type: 'first'}, {type: 'second'}])
    writeFileSync(
      join(notes, 'fail.ADD.second'),
      '{"cniVersion":"1.0.0","code":11,"msg":"agent away","details":"no socket"}',
    )
    create('refused')
    const words = 'plugin second failed (add): agent away: no socket (code 11)'
    await eventually('its status says why', () => waiting('refused')?.message?.includes(words) === true)
    assert.equal(waiting('refused')?.reason, 'ContainerCreating')
    assert.equal(waiting('refused')?.message, `FailedCreatePodSandBox: ${words}`)
    assert.equal(api.status('refused').phase, 'Pending')
    assert.equal(api.status('refused').podIP, undefined)
    await eventually('it is tried again', () => order().length >= 8)
    assert.deepEqual(order().slice(0, 4), ['ADD first', 'ADD second', 'DEL second', 'DEL first'])
    assert.equal(stdin('DEL.first').prevResult, undefined, 'an ADD that failed has no result')
    await eventually('its event is counted', () => (api.events[0] as Json)?.count >= 2)
    assert.equal(api.events.length, 1)
    const {reason, message, involvedObject} = api.events[0] as Json
    assert.deepEqual([reason, message], ['FailedCreatePodSandBox', `Failed to create pod sandbox: ${words}`])
    assert.equal(involvedObject.name, 'refused')
    rmSync(join(notes, 'fail.ADD.second'))
    await eventually('it starts by itself', () => api.condition('refused', 'Ready') === 'True')
    assert.equal(api.status('refused').podIPs?.length, 2)
    await remove('refused')
  })

  test('a pod that never started ends at once, and leaves no namespace', async () => {
    writeList([{type: 'missing'}])
    create('never')
    await eventually('its status says why', () =>
      /plugin missing failed \(add\)/.test(waiting('never')?.message ?? ''),
    )
    const {namespacePath} = kubelet.pod('shop', 'never')!
    await remove('never')
    assert.equal(existsSync(namespacePath), false)
  })

  test('a DEL that fails keeps neither the other plugins nor the pod from their end', async () => {
    writeList([{type: 'first'}, {type: 'second'}])
    create('stuck')
    await eventually('it is Ready', () => api.condition('stuck', 'Ready') === 'True')
    const {namespacePath} = kubelet.pod('shop', 'stuck')!
    writeFileSync(join(notes, 'fail.DEL.second'), '{"code":99,"msg":"no"}')
    rmSync(join(folders.programDir, 'first'))
    await remove('stuck')
    assert.equal(order().at(-1), 'DEL second')
    assert.equal(existsSync(namespacePath), false)
  })

  for (const [what, text, words] of [
    ['half written', '{"cniVersion":"1.0.0","na', '10-sandbox.conflist: '],
    ['without plugins', '{"cniVersion":"1.0.0","name":"x"}', 'plugins: expected objects'],
    [
      'with a path as type',
      '{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"../sh"}]}',
      'plugins: expected',
    ],
    [
      'of another network',
      '{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"bridge"}]}',
      'the first plugin',
    ],
  ] as const) {
    test(`a conflist ${what} is said; the pod starts when it is whole`, async () => {
      const name = `list-${what.replaceAll(' ', '-')}`
      writeFileSync(join(folders.configDir, '10-sandbox.conflist'), text)
      create(name)
      await eventually('its status says why', () => waiting(name)?.message?.includes(words) === true)
      writeList([])
      await eventually('it is Ready', () => api.condition(name, 'Ready') === 'True')
      await remove(name)
    })
  }

  test('without any conflist pods wait', async () => {
    for (const file of ['10-sandbox.conflist', '20-other.conflist']) rmSync(join(folders.configDir, file))
    writeFileSync(join(folders.configDir, '05-not.conf'), '{}')
    create('early')
    await eventually('its status says why', () => /no \*\.conflist in/.test(waiting('early')?.message ?? ''))
    writeList([])
    await eventually('it is Ready', () => api.condition('early', 'Ready') === 'True')
    await remove('early')
  })
})
