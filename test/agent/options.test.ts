// SPDX-License-Identifier: Apache-2.0
// Goal: options about CNI: defaults of design and docs, paths that follow from others, wrong ones named.
// Method: parseOptions on hand-written command lines and environments.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {helpText} from '../../src/lib/agent/option-rows.ts'
import {parseOptions} from '../../src/lib/agent/options.ts'

const cniOf = (args: string[], env: Record<string, string> = {}) =>
  parseOptions(args, {NODE_NAME: 'n1', ...env}).cni

test('CNI is on with the paths that every runtime uses', () => {
  assert.deepEqual(cniOf([]), {
    etcPath: '/etc/cni/net.d',
    conflistName: undefined,
    binPath: '/opt/cni/bin',
    runtimePath: '/opt/cni/bin/.kmesh-cni',
    failurePolicy: 'fail',
  })
  assert.equal(parseOptions([], {NODE_NAME: 'n1'}).runDir, '/var/run/kmesh')
})

test('the runtime folder follows the folder of plugins, unless it is named', () => {
  assert.equal(cniOf(['--cni-bin-path=/usr/lib/cni'])?.runtimePath, '/usr/lib/cni/.kmesh-cni')
  assert.equal(cniOf([], {KMESH_CNI_RUNTIME_PATH: '/var/lib/kmesh-cni'})?.runtimePath, '/var/lib/kmesh-cni')
})

test('off is off, by flag and by environment; the flag wins', () => {
  assert.equal(cniOf(['--cni', 'off']), undefined)
  assert.equal(cniOf([], {KMESH_CNI: 'off'}), undefined)
  assert.notEqual(cniOf(['--cni=on'], {KMESH_CNI: 'off'}), undefined)
})

test('sidecars are short-circuited unless they are to be left alone', () => {
  const policyOf = (args: string[], env = {}) => parseOptions(args, {NODE_NAME: 'n1', ...env}).sidecarPolicy
  assert.equal(policyOf([]), 'bypass')
  assert.equal(policyOf(['--sidecar-policy=exclude']), 'exclude')
  assert.equal(policyOf([], {KMESH_SIDECAR_POLICY: 'exclude'}), 'exclude')
  assert.throws(() => policyOf(['--sidecar-policy=off']), /'off' is not one of bypass, exclude/)
})

test('wrong values are named', () => {
  const cases: [string[], RegExp][] = [
    [['--cni=maybe'], /--cni: 'maybe' is not one of on, off/],
    [['--cni-etc-path=etc'], /--cni-etc-path: 'etc' is not an absolute path/],
    [['--cni-runtime-path=x'], /--cni-runtime-path: 'x' is not an absolute path/],
    [['--run-dir=x'], /--run-dir: 'x' is not an absolute path/],
    [['--conflist-name=10-x.conf'], /--conflist-name: '10-x.conf' is not the name of a .conflist file/],
    [['--conflist-name=../x.conflist'], /--conflist-name: '..\/x.conflist' is not the name/],
    [['--cni-failure-policy=retry'], /--cni-failure-policy: 'retry' is not one of fail, ignore/],
  ]
  for (const [args, message] of cases) assert.throws(() => cniOf(args), message)
})

test('help names each with its environment variable and default', () => {
  for (const line of [
    /--run-dir DIR .*\[KMESH_RUN_DIR, \/var\/run\/kmesh\]/,
    /--cni on\|off .*\[KMESH_CNI, on\]/,
  ]) {
    assert.match(helpText(), line)
  }
})

test('status: every address by default, one, none, and what is neither', () => {
  const statusOf = (...args: string[]) => parseOptions(args, {NODE_NAME: 'n1'}).statusAddress
  assert.deepEqual(statusOf(), {host: '0.0.0.0', port: 15_020})
  assert.deepEqual(statusOf('--status-address=[::]:1'), {host: '::', port: 1})
  assert.equal(statusOf('--status-address=off'), undefined)
  for (const wrong of ['15020', 'a:b', ':1', '1.2.3.4:70000'])
    assert.throws(() => statusOf(`--status-address=${wrong}`), /--status-address/)
})
