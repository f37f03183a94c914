// SPDX-License-Identifier: Apache-2.0
// Goal: a YAML reader gets back the value that was printed, whichever version of YAML it reads; nothing hostile is
// printed as it is.
// Method: a document against its lines by hand; 2,000 seeded random values through the `yaml` package as 1.1 and 1.2.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {parse} from 'yaml'
import {toYaml} from '../../src/lib/render/yaml.ts'
import {SeededRandom} from '../model/random.ts'

test('lines by hand', () => {
  const value = {
    kind: 'List',
    none: undefined,
    items: [{node: 'worker-1', key: {address: '10.96.0.10'}, names: {7: 'shop/cart'}, list: [1, [], {}]}],
    errors: [],
    when: '2026-01-01T00:00:00Z',
    no: null,
  }
  const lines = [
    'kind: List',
    'items:',
    '  - node: worker-1',
    '    key:',
    '      address: 10.96.0.10',
    '    names:',
    '      "7": shop/cart',
    '    list:',
    '      - 1',
    '      - []',
    '      - {}',
    'errors: []',
    'when: "2026-01-01T00:00:00Z"',
    '"no": null',
  ]
  assert.equal(toYaml(value), `${lines.join('\n')}\n`)
})

const TEXTS = [
  '',
  ' ',
  'a',
  'a b',
  'a: b',
  'a #b',
  '- a',
  '-',
  '?',
  '~',
  'null',
  'No',
  'y',
  '1',
  '1e3',
  '0x1f',
  '1_000',
  '.inf',
  '10.0.0.1',
  '1.2',
  "it's",
  '"',
  '\\',
  '{',
  '[',
  '*a',
  '&a',
  '!a',
  '|',
  '>',
  '%',
  '@',
  '`',
  'a\nb',
  'a\n',
  '\t',
  'ü',
  '\u0085',
  '\u2028',
  '\u202e',
  '\u0000',
  '\u001b[31m',
  '\u009b',
  'x'.repeat(300),
  '2026-01-01',
  '12:30:45',
  '<<',
  '=',
  'fd00::1',
  '---',
  '...',
  'a,b',
  "a'",
  'a ',
  '_1',
  'true',
  'ON',
]

function value(random: SeededRandom, depth: number): unknown {
  const kind = random.below(depth > 0 ? 6 : 4)
  if (kind === 0) return random.pick([null, true, false, 0, -1, 1.5, 1e21, 123_456_789])
  if (kind < 4) return random.pick(TEXTS)
  if (kind === 4) return random.list(4, () => value(random, depth - 1))
  return Object.fromEntries(random.list(4, () => [random.pick(TEXTS), value(random, depth - 1)]))
}

test('what is read is what was printed', () => {
  const random = new SeededRandom(3)
  for (let turn = 0; turn < 2000; turn += 1) {
    const printed = value(random, 4)
    const text = toYaml(printed)
    for (const version of ['1.1', '1.2'] as const) {
      assert.deepEqual(parse(text, {version, merge: false, maxAliasCount: 0}), printed, text)
    }
    assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]/)
  }
})
