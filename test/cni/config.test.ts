// SPDX-License-Identifier: Apache-2.0
// Goal: previous results come through byte for byte, and a configuration that is wrong is an error of the right code.
// Method: the bundle is executed without an agent; what goes in and comes out is written by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {codeOf, config, run} from './calls.ts'

test('forms of previous results stay', async () => {
  const forms = [
    '{}',
    '{\n\t"ips" : [ ] ,\r\n "x":{"y":[1,[2,[3]]],"z":"}]\\"{["}}',
    '{"n":[0,-0,1.0,1e2,1E-7,123456789012345678901234567890,0.1000]}',
    '{"cniVersion":"0.3.1","ips":"not a list","routes":5}',
    '{"a":1,"a":2,"__proto__":{"b":1},"":"","\\u0061":"\\ud83d\\ude00 \u00fc \u{1f600}"}',
    `{"long":"${'x'.repeat(200_000)}"}`,
  ]
  for (const form of forms) assert.equal((await run('ADD', config({}, form))).stdout, form)
  const around = `{"prev\\u0052esult" : {"first":1} ,"cniVersion":"1.0.0","name":"n","nested":{"prevResult":{"no":1}},"prevResult":\n{"last" : 1.50}\n,"z":[]}`
  assert.equal((await run('ADD', around)).stdout, '{"last" : 1.50}')
})

test('configurations that are none', async () => {
  const rows: [string | Uint8Array, number][] = [
    ['', 6],
    ['{', 6],
    ['[]', 6],
    ['null', 6],
    ['"text"', 6],
    ['{"cniVersion":"1.0.0"} more', 6],
    [Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 6],
    [`${config()}\0`, 6],
    [`{"cniVersion":"1.0.0","name":"a\0b"}`, 6],
    ['['.repeat(1_000_000), 6],
    [`{"a":${'['.repeat(500_000)}${']'.repeat(500_000)}}`, 1],
    [Buffer.alloc(4 * 1024 * 1024 + 1, 0x20), 5],
    [config({}, '[]'), 7],
    [config({}, '"x"'), 7],
    [config({}, '5'), 7],
    [config({name: undefined}), 7],
    [config({name: '../x'}), 7],
    [config({socket: 'relative'}), 7],
    [config({socket: 5}), 7],
    [config({cache: ['x']}), 7],
    [config({kubeconfig: {}}), 7],
    [config({failurePolicy: 'maybe'}), 7],
    [config({failurePolicy: true}), 7],
    [config({timeoutSeconds: '5'}), 7],
    [config({timeoutSeconds: -1}), 7],
    [config({timeoutSeconds: 1e9}), 7],
    [config({logLevel: 'loud'}), 7],
    [config({logFiles: 0}), 7],
    [config({ipam: {type: 'host-local'}, dns: 5, unknown: null, capabilities: {portMappings: true}}), 0],
  ]
  for (const [input, code] of rows) {
    assert.equal(codeOf(await run('ADD', input)), code, Buffer.from(input).toString().slice(0, 200))
  }
})
