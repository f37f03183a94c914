// SPDX-License-Identifier: Apache-2.0
// Goal: the demo takes down what a killed demo left, and nothing of anybody else.
// Method: kubeconfigs as `sandbox status` tells them, with processes that are and are not there.
import assert from 'node:assert/strict'
import {rmSync} from 'node:fs'
import {basename} from 'node:path'
import {test} from 'node:test'
import {leftoverOf, makeStateHome} from '../../bin/demo-leftovers.ts'

const OWN = '/tmp/kmeshctl-demo-20-AAAAAA'
const kind = (kubeconfig: string | undefined) => leftoverOf(kubeconfig, OWN, (pid) => pid === 10)
const below = (home: string): string => `${home}/kmeshctl/demo/kubeconfig`

test('what is there, and whose it is', () => {
  assert.deepEqual(kind(undefined), {kind: 'none'})
  assert.deepEqual(kind(below(OWN)), {kind: 'none'})
  for (const home of ['/tmp/kmeshctl-demo-11-BBBBBB', '/var/tmp/kmeshctl-demo-CCCCCC'])
    assert.deepEqual(kind(below(home)), {kind: 'leftover', stateHome: home})
  assert.deepEqual(kind(below('/tmp/kmeshctl-demo-10-BBBBBB')), {kind: 'running', pid: 10})
  for (const home of ['/root/.local/state', '/tmp/kmeshctl-demo-11-BBBBBB/more', '/tmp/my-kmeshctl-demo'])
    assert.deepEqual(kind(below(home)), {kind: 'foreign'})
})

test('a process of another program with the id of a demo that is gone is no demo', () => {
  assert.equal(leftoverOf(below('/tmp/kmeshctl-demo-1-BBBBBB'), OWN).kind, 'leftover')
})

test('a home tells its process', () => {
  const home = makeStateHome()
  try {
    assert.match(basename(home), new RegExp(`^kmeshctl-demo-${process.pid}-\\w{6}$`))
  } finally {
    rmSync(home, {recursive: true})
  }
})
