// SPDX-License-Identifier: Apache-2.0
// Goal: two pods on two nodes reach each other over IPv4 and IPv6, with their own source address.
// Method: real namespaces, cgroups and processes; the echo program answers, its client mode asks.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import type {Family} from '../../../src/lib/sandbox/nodes/addresses.ts'
import {type Kubelet, startKubelet} from '../../../src/lib/sandbox/nodes/kubelet.ts'
import {ECHO, eventually, FakePods, type Ground, layNodes} from './node-fixture.ts'

suite('network of pods', () => {
  let ground: Ground
  const apis = [new FakePods(), new FakePods()]
  const kubelets: Kubelet[] = []

  before(async () => {
    ground = await layNodes('net')
    for (const [index, node] of ground.nodes.entries()) {
      const api = apis[index]!
      kubelets.push(startKubelet({...node, kube: api.kube}, api.informers))
      api.create(`pod-${index + 1}`, {
        containers: [
          {name: 'echo', image: 'sandbox/echo', readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}},
        ],
      })
    }
    await eventually('both pods are Ready', () =>
      apis.every((api, index) => api.condition(`pod-${index + 1}`, 'Ready') === 'True'),
    )
  })
  after(() => ground.down())

  const address = (pod: number, family: Family): string =>
    apis[pod]!.status(`pod-${pod + 1}`).podIPs?.find(({ip}) => ip.includes(':') === (family === 'IPv6'))
      ?.ip ?? ''

  for (const [from, to] of [
    [0, 1],
    [1, 0],
  ] as const) {
    for (const family of ['IPv4', 'IPv6'] as const) {
      test(`pod ${from + 1} reaches pod ${to + 1} over ${family}`, async () => {
        const inside = kubelets[from]!.pod('shop', `pod-${from + 1}`)!.namespacePath
        const target = address(to, family)
        const answer = await ground.runIn(inside, process.execPath, ECHO, 'connect', target, '8080')
        assert.deepEqual(JSON.parse(answer), {
          peer: target,
          peerPort: 8080,
          pod: `pod-${to + 1}`,
          node: `node-${to + 1}`,
          seenAs: address(from, family),
        })
      })
    }
  }
})
