// SPDX-License-Identifier: Apache-2.0
// Goal: what is ours and what is Istio's is told apart in any text that iptables prints, and a plan changes only ours.
// Method: texts as iptables 1.8 prints them, and restore input written by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {
  type Backend,
  emptyPlace,
  type Family,
  type PlaceRules,
  parseSaved,
  planPut,
  planRemove,
  planUndo,
  stateOf,
} from '../../src/lib/model/iptables-rules.ts'

const NFT4 = {backend: 'nft', family: 'IPv4'} as const
const OURS = '-m comment --comment "kmesh.net/bypass" -j RETURN'
const PLAIN = '-m comment --comment kmesh.net/bypass -j RETURN'

function nat(...lines: string[]): string {
  return [
    '# Generated',
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':OUTPUT ACCEPT [7:420]',
    ...lines,
    'COMMIT',
    '# Completed',
    '',
  ].join('\n')
}

function parsed(text: string): PlaceRules {
  return parseSaved(NFT4, text)
}

function place(backend: Backend, family: Family, change: Partial<PlaceRules> = {}): PlaceRules {
  return {...emptyPlace({backend, family}), ...change}
}

function four(change: Partial<Record<string, Partial<PlaceRules>>> = {}) {
  const places = (['legacy', 'nft'] as const).flatMap((backend) =>
    (['IPv4', 'IPv6'] as const).map((family) => place(backend, family, change[`${backend} ${family}`])),
  )
  return {places, hasNativeIstio: false}
}

const RIGHT = {ours: {PREROUTING: [1], OUTPUT: [1]}}

test('our rule is found at its positions, with and without counters and quotes', () => {
  const text = nat(
    '-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:80',
    `[12:720] -A PREROUTING ${OURS}`,
    `-A OUTPUT ${PLAIN}`,
    `-A OUTPUT -o lo -j RETURN`,
    `-A OUTPUT ${OURS}`,
  )
  assert.deepEqual(parsed(text).ours, {PREROUTING: [2], OUTPUT: [1, 3]})
})

test('rules that only resemble ours are not ours', () => {
  const text = nat(
    ':KMESH - [0:0]',
    '-A PREROUTING -j RETURN',
    `-A PREROUTING -s 10.0.0.0/8 ${OURS}`,
    '-A PREROUTING -m comment --comment "kmesh.net/bypass" -j ACCEPT',
    '-A PREROUTING -m comment --comment "kmesh.net/bypass " -j RETURN',
    `-A KMESH ${OURS}`,
    '-A OUTPUT -m comment --comment "not kmesh.net/bypass" -j RETURN',
  )
  assert.deepEqual(parsed(text).ours, {PREROUTING: [], OUTPUT: []})
  const mangle = `*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING ${OURS}\nCOMMIT\n`
  assert.deepEqual(parsed(mangle).ours, {PREROUTING: [], OUTPUT: []})
})

test('a comment that holds whole lines is one rule', () => {
  const comment = String.raw`a \"b\" \\`
  const text = nat(
    `-A OUTPUT -m comment --comment "${comment}\n-A OUTPUT ${PLAIN}\nCOMMIT\n*mangle\n:ISTIO_TPROXY - [0:0]\n" -j ACCEPT`,
    `-A OUTPUT ${OURS}`,
  )
  assert.deepEqual(parsed(text), {
    ...NFT4,
    hasIstio: false,
    hasTproxy: false,
    ours: {PREROUTING: [], OUTPUT: [2]},
  })
})

test('a quote in the name of a chain opens nothing', () => {
  assert.equal(parsed(nat(':a"b - [0:0]', ':ISTIO_OUTPUT - [0:0]')).hasIstio, true)
})

test('text without its end is refused', () => {
  assert.throws(() => parsed('*nat\n:OUTPUT ACCEPT [0:0]\n'), {code: 'BadRules'})
  assert.throws(() => parsed(nat('-A OUTPUT -m comment --comment "open')), {code: 'BadRules'})
})

test("Istio's chains count in nat, TPROXY's in mangle", () => {
  const mangle = (...lines: string[]) => parsed(['*mangle', ...lines, 'COMMIT', ''].join('\n'))
  assert.equal(parsed(nat(':ISTIO_REDIRECT - [0:0]')).hasIstio, true)
  assert.equal(parsed(nat(':MY_ISTIO_REDIRECT - [0:0]')).hasIstio, false)
  for (const chain of ['ISTIO_INBOUND', 'ISTIO_TPROXY', 'ISTIO_DIVERT'])
    assert.equal(mangle(`:${chain} - [0:0]`).hasTproxy, true, chain)
  // Ambient marks there, and a setting drops invalid packets: no TPROXY.
  assert.equal(mangle(':ISTIO_PRERT - [0:0]', ':ISTIO_DROP - [0:0]').hasTproxy, false)
  assert.equal(mangle(':ISTIO_PRERT - [0:0]').hasIstio, false)
  assert.equal(
    mangle(':ISTIO_PRERT - [0:0]', '-A ISTIO_PRERT -p tcp -j TPROXY --on-port 15008 --on-ip 127.0.0.1')
      .hasTproxy,
    true,
  )
})

test('while nobody has chains, both backends and families get the rule', () => {
  const input = `*nat\n-I PREROUTING 1 ${PLAIN}\n-I OUTPUT 1 ${PLAIN}\nCOMMIT`
  assert.deepEqual(planPut(four()), [
    {backend: 'legacy', family: 'IPv4', input},
    {backend: 'legacy', family: 'IPv6', input},
    {backend: 'nft', family: 'IPv4', input},
    {backend: 'nft', family: 'IPv6', input},
  ])
  assert.deepEqual(stateOf(four()), {redirection: 'none', complete: false, present: false})
})

test('the backend with chains in one family keeps the rule in both, the other loses it', () => {
  const rules = four({
    'legacy IPv4': RIGHT,
    'legacy IPv6': RIGHT,
    'nft IPv4': {...RIGHT, hasIstio: true},
    'nft IPv6': RIGHT,
  })
  const input = `*nat\n-D PREROUTING ${PLAIN}\n-D OUTPUT ${PLAIN}\nCOMMIT`
  assert.deepEqual(planPut(rules), [
    {backend: 'legacy', family: 'IPv4', input},
    {backend: 'legacy', family: 'IPv6', input},
  ])
  assert.deepEqual(stateOf(rules), {redirection: 'redirect', complete: false, present: true})
})

test('chains in both backends: the rule in both', () => {
  const rules = four({
    'legacy IPv4': {...RIGHT, hasIstio: true},
    'legacy IPv6': RIGHT,
    'nft IPv4': {...RIGHT, hasIstio: true},
    'nft IPv6': RIGHT,
  })
  assert.deepEqual(planPut(rules), [])
  assert.deepEqual(stateOf(rules), {redirection: 'redirect', complete: true, present: true})
})

test('doubled and displaced rules become one at position 1; what is right is not touched', () => {
  const rules = {
    places: [
      place('nft', 'IPv4', {hasIstio: true, ours: {PREROUTING: [1, 4], OUTPUT: [3]}}),
      place('nft', 'IPv6', RIGHT),
    ],
    hasNativeIstio: false,
  }
  assert.deepEqual(planPut(rules), [
    {
      ...NFT4,
      input: [
        '*nat',
        `-D PREROUTING ${PLAIN}`,
        `-D PREROUTING ${PLAIN}`,
        `-I PREROUTING 1 ${PLAIN}`,
        `-D OUTPUT ${PLAIN}`,
        `-I OUTPUT 1 ${PLAIN}`,
        'COMMIT',
      ].join('\n'),
    },
  ])
})

test('remove takes every rule of ours out, and where none is, does nothing', () => {
  const rules = {
    places: [place('nft', 'IPv4', {ours: {PREROUTING: [], OUTPUT: [2, 3]}}), place('nft', 'IPv6')],
    hasNativeIstio: false,
  }
  assert.deepEqual(planRemove(rules), [
    {...NFT4, input: `*nat\n-D OUTPUT ${PLAIN}\n-D OUTPUT ${PLAIN}\nCOMMIT`},
  ])
})

test('undoing puts ours back to where they stood', () => {
  const before = four({'nft IPv4': {ours: {PREROUTING: [], OUTPUT: [2, 4]}}})
  const now = four({'nft IPv4': RIGHT})
  assert.deepEqual(planUndo(now, before), [
    {
      ...NFT4,
      input: `*nat\n-D PREROUTING ${PLAIN}\n-D OUTPUT ${PLAIN}\n-I OUTPUT 2 ${PLAIN}\n-I OUTPUT 4 ${PLAIN}\nCOMMIT`,
    },
  ])
})

test('what cannot be short-circuited is never complete, and named before REDIRECT', () => {
  const istio = {...RIGHT, hasIstio: true}
  const tproxy = four({'legacy IPv4': {hasTproxy: true}, 'nft IPv4': istio, 'nft IPv6': RIGHT})
  assert.deepEqual(stateOf(tproxy), {redirection: 'tproxy', complete: false, present: true})
  const native = {...four({'nft IPv4': istio, 'nft IPv6': RIGHT}), hasNativeIstio: true}
  assert.deepEqual(stateOf(native), {redirection: 'nftables', complete: false, present: true})
})
