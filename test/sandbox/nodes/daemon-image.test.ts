// SPDX-License-Identifier: Apache-2.0
// Goal: the manifests of a real cluster run on a sandbox node: its own paths, credentials and name; other images are left alone.
// Method: the container of deploy/ on a node that is only a record; expected arguments by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {Pod} from '../../../src/lib/model/kube.ts'
import {manifestsOf} from '../../../src/lib/model/manifests.ts'
import {defaultSettings} from '../../../src/lib/model/manifests-settings.ts'
import type {DaemonSet} from '../../../src/lib/model/manifests-workload.ts'
import {onThisNode} from '../../../src/lib/sandbox/nodes/daemon-image.ts'
import type {NodeContext} from '../../../src/lib/sandbox/nodes/node-context.ts'
import {containerSettings, type PodFacts} from '../../../src/lib/sandbox/nodes/pod-facts.ts'

const NODE = {
  name: 'node-1',
  backend: 'kernel',
  bpfDir: '/run/x/bpf/node-1',
  cgroup: '/cg/node-1',
  paths: {stateDir: '/state', runDir: '/run/x', outputDir: '/state/output'},
  baseEnvironment: {},
  daemonProgram: '/here/bin/kmesh-daemon',
  addresses: [{address: '192.0.2.1'}],
} as unknown as NodeContext

const set = manifestsOf(defaultSettings('1.2.3')).at(-1)?.object as DaemonSet
const pod = {metadata: {namespace: 'kmesh-system', name: 'kmesh-abc'}, spec: set.spec?.template?.spec} as Pod
const container = pod.spec?.containers[0] ?? {name: ''}

test('paths of hostPath volumes become those of the node, and the account its kubeconfig', () => {
  const {command, args} = onThisNode(NODE, pod, container)
  assert.deepEqual(command, [
    'setpriv',
    '--bounding-set=-all,+net_admin,+net_raw,+sys_admin,+sys_ptrace',
    '--inh-caps=-all',
    '--',
    '/here/bin/kmesh-daemon',
  ])
  assert.deepEqual(args, [
    '--bpf-fs-path=/run/x/bpf/node-1',
    '--cgroup2-path=/cg/node-1',
    '--proc-path=/proc',
    '--state-dir=/state/nodes/node-1/kmesh',
    '--run-dir=/run/x/nodes/node-1/run',
    '--existing-pods=live',
    '--sidecar-policy=bypass',
    '--log-level=info',
    '--cni=on',
    '--cni-etc-path=/state/nodes/node-1/cni/net.d',
    '--cni-bin-path=/state/nodes/node-1/cni/bin',
    '--cni-failure-policy=fail',
    '--kubeconfig=/state/nodes/node-1/kubeconfig',
  ])
})

test('a path that only begins like a mount is another one; what lies below it moves along', () => {
  const args = ['--a=/sys/fs/bpfx', '--b=/sys/fs/bpf/deep', '/proc', 'uninstall']
  const moved = onThisNode(NODE, pod, {...container, args}).args
  assert.deepEqual(moved?.slice(0, 4), [
    '--a=/sys/fs/bpfx',
    '--b=/run/x/bpf/node-1/deep',
    '/proc',
    'uninstall',
  ])
})

test('another account gets no credentials', () => {
  const other = {...pod, spec: {...pod.spec, serviceAccountName: 'default'}} as Pod
  assert.ok(!onThisNode(NODE, other, container).args?.some((argument) => argument.startsWith('--kubeconfig')))
})

test('in memory the agent is told so, and listens on the ports that stand in', () => {
  const args = onThisNode({...NODE, backend: 'memory'}, pod, container).args ?? []
  assert.ok(args.includes('--backend=memory'))
  assert.ok(args.includes('--status-address=127.0.0.1:$(KMESHCTL_PORT_15020)'))
})

for (const [image, isOurs] of [
  ['kmesh-daemon', true],
  ['registry.example:5000/team/kmesh-daemon:v1', true],
  ['kmesh-daemon@sha256:0123', true],
  ['sandbox/echo', false],
  ['my-kmesh-daemon:v1', false],
  ['ghcr.io/kmesh-net/kmesh:v1.2.0', false],
] as const) {
  test(`image ${image} is ${isOurs ? 'this machine’s agent' : 'left alone'}`, () => {
    assert.equal(onThisNode(NODE, pod, {...container, image}).command !== undefined, isOurs)
  })
}

test('fieldRef gives the name of the node; another kind of valueFrom is told', () => {
  const facts = {
    namespace: 'kmesh-system',
    name: 'kmesh-abc',
    uid: 'u-1',
    cgroup: '/cg/x',
    addresses: [],
  } as unknown as PodFacts
  const settings = containerSettings(NODE, facts, pod, container, '')
  assert.equal(settings.environment['NODE_NAME'], 'node-1')
  assert.equal(settings.unsupported, undefined)
  const env = [
    {name: 'X', valueFrom: {secretKeyRef: {name: 's', key: 'k'}}},
  ] as unknown as typeof container.env
  const told = containerSettings(NODE, facts, pod, {...container, ...(env ? {env} : {})}, '')
  assert.match(told.unsupported ?? '', /^env X: of valueFrom the sandbox knows fieldRef/)
})
