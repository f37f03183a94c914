// SPDX-License-Identifier: Apache-2.0
// Goal: our entry goes into a conflist and out again, and no other byte changes.
// Method: texts written by hand, in the shapes of several networks and in odd ones; results by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {inspectConflist, type PluginEntry, withEntry, withoutEntry} from '../../src/lib/cni/conflist.ts'
import {CONFLISTS} from './conflist-samples.ts'

const ENTRY: PluginEntry = {type: 'kmesh-cni', socket: '/run/k.sock', failurePolicy: 'fail'}
const ONE_LINE = '{"type":"kmesh-cni","socket":"/run/k.sock","failurePolicy":"fail"}'

const bytesOf = (text: string): Uint8Array => Buffer.from(text)
const put = (text: string, entry = ENTRY): string => Buffer.from(withEntry(bytesOf(text), entry)).toString()
const take = (text: string): string => Buffer.from(withoutEntry(bytesOf(text))).toString()

test('it follows the last plugin, in the style of the file', () => {
  const file = '{\n    "plugins": [\n        {\n            "type": "a"\n        }\n    ]\n}\n'
  const expected = [
    '{\n    "plugins": [\n        {\n            "type": "a"\n        },\n        {',
    '            "type": "kmesh-cni",',
    '            "socket": "/run/k.sock",',
    '            "failurePolicy": "fail"',
    '        }\n    ]\n}\n',
  ].join('\n')
  assert.equal(put(file), expected)
})

test('styles: one line, brace after brace, tabs, CRLF', () => {
  const cases: [string, string][] = [
    ['{"plugins":[{"type":"a"}]}', `{"plugins":[{"type":"a"},${ONE_LINE}]}`],
    [
      '{"plugins": [ {"type":"a"} , {"type":"b"} ] }',
      `{"plugins": [ {"type":"a"} , {"type":"b"}, ${ONE_LINE} ] }`,
    ],
    [
      '{"plugins":[{\n\t"type":"a"\n}, {\n\t"type":"b"\n}]}',
      '{"plugins":[{\n\t"type":"a"\n}, {\n\t"type":"b"\n}, {\n\t"type": "kmesh-cni",\n\t"socket": "/run/k.sock",\n\t"failurePolicy": "fail"\n}]}',
    ],
    [
      '{\r\n"plugins": [\r\n {\r\n  "type": "a"\r\n }\r\n]\r\n}',
      '{\r\n"plugins": [\r\n {\r\n  "type": "a"\r\n },\r\n {\r\n  "type": "kmesh-cni",\r\n  "socket": "/run/k.sock",\r\n  "failurePolicy": "fail"\r\n }\r\n]\r\n}',
    ],
    ['{"plugins":[ ]}', `{"plugins":[${ONE_LINE} ]}`],
  ]
  for (const [before, after] of cases) {
    assert.equal(put(before), after)
    assert.equal(take(after), before)
  }
})

test('what is odd comes back byte for byte', () => {
  const odd = [
    '{"plugins":[]}',
    '{"plugins":[\n\n]}',
    ' \t\n{ "n":1e3, "m" : 1.0,"o":-0, "big": 123456789012345678901234567890, "plugins" :[{"mtu":1.50e+3}] } \n\n',
    '{"plugins":[{"type":"a"}],"plugins":[{"type":"b"}],"x":{"plugins":[1]}}',
    '{"pl\\u0075gins":[{"type":"\\u0061","s":"]}\\",[{\\\\"}]}',
    '{"plugins":[[],"text",null,0,{"a":{"b":[{"c":[]}]}}]}',
    '\ufeff{"plugins":[{"type":"ä€😀"}]}',
    '{"plugins":[{"type":"a"}]}\r\n',
    `{"plugins":[${' '.repeat(5000)}{"type":"a"}]}`,
    `{"deep":${'['.repeat(20_000)}${']'.repeat(20_000)},"plugins":[{"type":"a"}]}`,
    '{"__proto__":{"plugins":[]},"plugins":[{"type":"a","__proto__":1}]}',
  ]
  for (const text of [...odd, ...Object.values(CONFLISTS)]) {
    const changed = put(text)
    assert.equal(inspectConflist(bytesOf(changed)).ours, 1, text.slice(0, 80))
    assert.equal(take(changed), text)
    assert.equal(put(changed), changed)
    const added = JSON.parse(changed.replace(/^\ufeff/, '')).plugins
    assert.deepEqual(added.at(-1), ENTRY)
    assert.deepEqual(added.slice(0, -1), JSON.parse(text.replace(/^\ufeff/, '')).plugins)
  }
})

test('bytes that are no UTF-8 stay', () => {
  const bytes = Buffer.concat([
    bytesOf('{"plugins":[{"comment":"'),
    Buffer.from([0xe9, 0xff, 0x80]),
    bytesOf('"}]}'),
  ])
  const changed = withEntry(bytes, ENTRY)
  assert.notDeepEqual(changed, bytes)
  assert.deepEqual(Buffer.from(withoutEntry(changed)), bytes)
})

test('an entry of another version is replaced where it stands; doubles go', () => {
  const file = `{"plugins":[{"type":"a"}, {"kubeConfig":"/x","type":"kmesh-cni"}, {"type":"b"} ,{"type":"kmesh-cni"}]}`
  assert.equal(put(file), `{"plugins":[{"type":"a"}, ${ONE_LINE}, {"type":"b"}]}`)
  assert.equal(take(file), '{"plugins":[{"type":"a"}, {"type":"b"}]}')
})

test('the same entry in another order and style counts as there', () => {
  const file =
    '{"plugins":[{"type":"a"},{ "failurePolicy" : "fail",\n"socket":"\\/run/k.sock", "type":"kmesh-cni" }]}'
  assert.equal(put(file), file)
})

test('in front of all others it moves behind them', () => {
  const file = `{"plugins":[${ONE_LINE}, {"type":"a"}]}`
  assert.equal(put(file), `{"plugins":[{"type":"a"},${ONE_LINE}]}`)
  assert.equal(take(file), '{"plugins":[{"type":"a"}]}')
  assert.equal(take(`{"plugins":[ ${ONE_LINE} ]}`), '{"plugins":[  ]}')
})

test('text of the entry is ASCII, and found again when others write it as UTF-8', () => {
  const entry: PluginEntry = {type: 'kmesh-cni', socket: '/run/ä"\n'}
  assert.equal(
    put('{"plugins":[]}', entry),
    '{"plugins":[{"type":"kmesh-cni","socket":"/run/\\u00e4\\"\\n"}]}',
  )
  const other = '{"plugins":[{"type":"a"},{"type":"kmesh-cni","socket":"/run/ä\\"\\n"}]}'
  assert.equal(put(other, entry), other)
})

test('what is no network list is refused, without quoting it', () => {
  const cases: [string, RegExp][] = [
    ['', /it is no JSON/],
    ['{"plugins":[', /it is no JSON/],
    ['// why\n{"plugins":[]}', /it is no JSON.*comments are not allowed/],
    ['{"plugins":[{"type":"a"},]}', /it is no JSON/],
    ['{"plugins":[{"type":"a",}]}', /it is no JSON, at position 24/],
    ['{"plugins":[]} x', /it is no JSON/],
    ['[]', /it is no JSON object/],
    ['null', /it is no JSON object/],
    ['{"plugins":{}}', /it has no list 'plugins'/],
    ['{"type":"bridge"}', /it has no list 'plugins'/],
    ['{"token":"hunter2" "plugins":[]}', /it is no JSON/],
  ]
  for (const [text, message] of cases) {
    for (const act of [() => put(text), () => take(text), () => inspectConflist(bytesOf(text))]) {
      assert.throws(act, {code: 'BadConflist', message})
      assert.throws(act, (error: Error) => !error.message.includes('hunter2'))
    }
  }
})

test('it counts plugins of others and of ours', () => {
  assert.deepEqual(inspectConflist(bytesOf(`\ufeff{"plugins":[{"type":"a"},${ONE_LINE},3]}`)), {
    others: 2,
    ours: 1,
    hasByteOrderMark: true,
  })
})
