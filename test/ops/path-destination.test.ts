// SPDX-License-Identifier: Apache-2.0
// Goal: pods are found by any of their addresses, all of those asked for, and without a list of all pods for each.
// Method: a fake API server that knows a pod by its first address only, as real ones do, and notes what it is asked.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {Pod} from '../../src/lib/model/kube.ts'
import {podsAt} from '../../src/lib/ops/path-destination.ts'
import type {Kube, KubeListOptions, ResourcePath} from '../../src/lib/ports.ts'
import {podOf} from '../model/plan-fixtures.ts'

function podAt(name: string, ...ips: readonly string[]): Pod {
  const pod = podOf(name)
  return {...pod, status: {...pod.status, podIP: ips[0] ?? '', podIPs: ips.map((ip) => ({ip}))}}
}

async function found(pods: readonly Pod[], addresses: readonly string[]) {
  const asked: string[] = []
  const list = async (_path: ResourcePath, {fieldSelector = 'all'}: KubeListOptions = {}) => {
    asked.push(fieldSelector)
    const first = fieldSelector.split('=')[1]
    return {metadata: {}, items: pods.filter(({status}) => first === undefined || status?.podIP === first)}
  }
  const kube = {server: 'https://fake', list} as unknown as Kube
  const names = (await podsAt(kube, new Set(addresses), new AbortController().signal)).map(
    ({metadata}) => metadata.name,
  )
  return {names, asked}
}

const PODS = [podAt('one', '10.0.0.1', 'fd00::1'), podAt('two', '10.0.0.2')]

test('few: each by itself, the others by one list', async () => {
  assert.deepEqual(await found(PODS, ['10.0.0.1']), {names: ['one'], asked: ['status.podIP=10.0.0.1']})
  assert.deepEqual(await found(PODS, ['10.0.0.2', 'fd00::1', '10.0.0.9']), {
    names: ['two', 'one'],
    asked: ['status.podIP=10.0.0.2', 'status.podIP=fd00::1', 'status.podIP=10.0.0.9', 'all'],
  })
})

test('many: one list, and none is left out', async () => {
  const pods = Array.from({length: 40}, (_, index) => podAt(`pod-${index}`, `10.0.1.${index}`))
  const addresses = pods.flatMap(({status}) => status?.podIP ?? [])
  const {names, asked} = await found(pods, addresses)
  assert.deepEqual([names.length, asked], [40, ['all']])
})

test('none: nobody is asked', async () => {
  assert.deepEqual(await found(PODS, []), {names: [], asked: []})
})
