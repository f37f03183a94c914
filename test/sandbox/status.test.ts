// SPDX-License-Identifier: Apache-2.0
// Goal: what `sandbox status` says of a living, a failed and a dead sandbox. Method: records by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {PodRecord, SandboxState} from '../../src/lib/sandbox/state.ts'
import {statusOf} from '../../src/lib/sandbox/status.ts'

const STATE: SandboxState = {
  name: 'a',
  pid: 42,
  phase: 'ready',
  message: 'ready',
  startedAt: '2026-01-02T03:04:05.000Z',
  stateDir: '/x',
  version: '0.1.0',
  families: ['IPv4'],
  server: 'https://127.0.0.1:1',
  serviceCidrs: [],
  nodes: [
    {
      name: 'node-1',
      addresses: ['172.16.0.1'],
      podCidrs: [],
      networkNamespace: '/run/netns/n',
      cgroup: '/c',
      bpfDir: '/b',
    },
    {
      name: 'node-2',
      addresses: ['172.16.0.2'],
      podCidrs: [],
      networkNamespace: '/run/netns/m',
      cgroup: '/d',
      bpfDir: '/e',
    },
  ],
}

const DAEMON: PodRecord = {
  namespace: 'kmesh-system',
  name: 'kmesh-node-1',
  uid: 'u',
  node: 'node-1',
  hostNetwork: true,
  addresses: ['172.16.0.1'],
  networkNamespace: '/run/netns/n',
  ready: true,
  terminating: false,
  containers: [
    {
      name: 'kmesh',
      cgroup: '/c/x',
      outputFile: '/o',
      env: {SECRET: 'x'},
      workingDir: null,
      user: 0,
      group: 0,
      pid: 7,
      restartCount: 2,
      ready: true,
      message: '',
    },
  ],
}

const base = {name: 'a', kubeconfig: '/k', logFile: '/l', pods: [DAEMON], services: null}

test('a living sandbox; a node without an agent; no environment is shown', () => {
  const status = statusOf({...base, state: STATE, isAlive: true})
  assert.deepEqual([status.phase, status.pid, status.server], ['ready', 42, 'https://127.0.0.1:1'])
  assert.deepEqual(
    status.nodes.map(({name, daemon, daemonReady}) => [name, daemon, daemonReady]),
    [
      ['node-1', 'kmesh-node-1', true],
      ['node-2', null, false],
    ],
  )
  assert.equal(status.pods[0]?.restarts, 2)
  assert.equal(status.services, null)
  assert.doesNotMatch(JSON.stringify(status), /SECRET/)
})

test('a dead one has no process and no server', () => {
  const status = statusOf({...base, state: STATE, isAlive: false})
  assert.deepEqual(
    [status.phase, status.message, status.pid, status.server],
    ['dead', 'its process is gone', null, null],
  )
})

test('a failed one says why', () => {
  const state = {...STATE, phase: 'failed', message: 'no iptables'} as const
  const status = statusOf({...base, state, isAlive: false})
  assert.deepEqual([status.phase, status.message], ['failed', 'no iptables'])
})
