// SPDX-License-Identifier: Apache-2.0
// Goal: protobuf of lists is read into what its JSON says, and bytes that are broken or hostile are refused, never read
// beyond their end. That the numbers of the fields are right is the contract suite's (test/contracts/kube-api-lists.ts).
// Method: lists written by the sandbox's API, broken ones by hand and by a seeded sequence.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {listReader, readStatus} from '../../src/lib/adapters/kube-protobuf.ts'
import {POD_FIELDS} from '../../src/lib/model/pod-projection.ts'
import {ProtobufBytes, ProtobufError} from '../../src/lib/model/protobuf-bytes.ts'
import type {FieldTree} from '../../src/lib/ports.ts'
import {protobufItem, protobufList} from '../../src/lib/sandbox/api/protobuf-write.ts'
import {seeded} from '../seeded.ts'

const listOf = (pods: readonly object[], metadata: object = {resourceVersion: '7'}): Buffer =>
  protobufList(
    {kind: 'Pod', apiVersion: 'v1'},
    metadata,
    pods.map((pod) => protobufItem('Pod', pod) ?? Buffer.of()),
  )

const read = (bytes: Buffer, fields: FieldTree): unknown[] =>
  (listReader('', 'pods', fields, (item) => item)?.list(bytes) as {items?: unknown[]} | undefined)?.items ??
  []

const UNICODE = 'ä\u{1f600}'.repeat(20)
const POD = {
  metadata: {
    name: 'web',
    deletionTimestamp: '2026-02-03T04:05:06Z',
    labels: {app: UNICODE, ['__proto__']: 'x', constructor: 'y'},
    annotations: {a: '1', b: '2'},
    managedFields: [
      {manager: 'm', time: '2026-01-01T00:00:00Z', fieldsV1: {'f:metadata': {'f:labels': {'f:app': {}}}}},
      {manager: 'n', fieldsV1: {'f:status': {}}},
    ],
  },
  spec: {
    priority: -7,
    activeDeadlineSeconds: 2 ** 40,
    nodeSelector: {},
    hostNetwork: true,
    containers: [{name: 'x'}],
  },
  status: {phase: '', podIPs: [{ip: '10.0.0.1'}, {ip: 'fd00::1'}]},
}

test('numbers, texts, times, maps, lists; empty texts and zeros are not there', () => {
  const fields = {
    metadata: {name: true, deletionTimestamp: true, labels: true},
    spec: {priority: true, activeDeadlineSeconds: true, hostNetwork: true, hostPID: true},
    status: {phase: true, podIPs: {ip: true}},
  } as const
  const [pod] = read(listOf([POD]), fields)
  const {name, deletionTimestamp, labels} = POD.metadata
  assert.deepEqual(pod, {
    metadata: {name, deletionTimestamp, labels},
    spec: {priority: -7, activeDeadlineSeconds: 2 ** 40, hostNetwork: true},
    status: {podIPs: POD.status.podIPs},
  })
  assert.ok(Object.hasOwn((pod as typeof POD).metadata.labels, '__proto__'))
})

test('of maps and of JSON only what is asked for', () => {
  const managedFields = {fieldsV1: {'f:metadata': {'f:labels': {'f:app': true}}}} as const
  const [pod] = read(listOf([POD]), {metadata: {annotations: {b: true, c: true}, managedFields}})
  assert.deepEqual(pod, {
    metadata: {
      annotations: {b: '2'},
      managedFields: [{fieldsV1: {'f:metadata': {'f:labels': {'f:app': {}}}}}, {fieldsV1: {}}],
    },
  })
})

test('the same text twice, and two that fall into one slot', () => {
  const names = Array.from({length: 20_000}, (_empty, index) => `name-${index % 9000}`)
  const pods = names.map((name) => ({metadata: {name, namespace: 'same'}}))
  const found = read(listOf(pods), {metadata: {name: true, namespace: true}})
  assert.deepEqual(found, pods)
})

test('a page says where the list goes on', () => {
  const reader = listReader('', 'pods', POD_FIELDS, (item) => item)
  assert.equal(reader?.continues(listOf([POD], {continue: 'next'})), 'next')
  assert.equal(reader?.continues(listOf([POD])), undefined)
})

test('each item is projected', () => {
  const project = () => ({metadata: {name: 'other'}})
  const list = listReader('', 'pods', POD_FIELDS, project)?.list(listOf([POD, POD]))
  assert.deepEqual((list as {items: unknown}).items, [project(), project()])
})

const NOT_READ: readonly (readonly [string, string, string, FieldTree])[] = [
  ['another resource', 'apps', 'deployments', {metadata: {name: true}}],
  ['a member without a number', '', 'pods', {metadata: {nothing: true}}],
  ['a whole message', '', 'pods', {spec: true}],
  ['a message without a table', '', 'pods', {spec: {volumes: {name: true}}}],
]
for (const [title, group, resource, fields] of NOT_READ) {
  test(`left to JSON: ${title}`, () => {
    assert.equal(
      listReader(group, resource, fields, (item) => item),
      undefined,
    )
  })
}

const head = Buffer.from('k8s\0')
const BROKEN: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.of()],
  ['another envelope', Buffer.from('{"kind":"PodList"}')],
  ['no object', head],
  ['an object longer than the answer', Buffer.concat([head, Buffer.of(0x12, 0x7f, 0x0a)])],
  ['a length of 2^32', Buffer.concat([head, Buffer.of(0x12, 0xff, 0xff, 0xff, 0xff, 0x1f)])],
  ['a number without an end', Buffer.concat([head, Buffer.alloc(64, 0xff)])],
  ['an item longer than the list', Buffer.concat([head, Buffer.of(0x12, 2, 0x12, 5, 0, 0, 0, 0, 0, 0)])],
  ['a group', Buffer.concat([head, Buffer.of(0x12, 1, 0x0b)])],
  ['a number in place of an item', Buffer.concat([head, Buffer.of(0x12, 2, 0x10, 1)])],
]
for (const [title, bytes] of BROKEN) {
  test(`refused: ${title}`, () => assert.throws(() => read(bytes, POD_FIELDS), ProtobufError))
}

test('5,000 damaged lists are read or refused, within their bytes', () => {
  const whole = listOf([POD, {...POD, metadata: {name: 'second'}}])
  const random = seeded(20261122)
  let refused = 0
  for (let round = 0; round < 5000; round += 1) {
    const damaged = Buffer.from(whole.subarray(0, random(4) === 0 ? random(whole.length) : whole.length))
    for (let count = random(4); count >= 0 && damaged.length > 0; count -= 1) {
      damaged[random(damaged.length)] = random(256)
    }
    try {
      read(damaged, {...POD_FIELDS, status: {...POD_FIELDS.status, podIPs: {ip: true}}})
    } catch (error) {
      assert.ok(error instanceof ProtobufError || error instanceof SyntaxError, String(error))
      refused += 1
    }
  }
  assert.ok(refused > 1000 && refused < 5000, String(refused))
})

test('whole numbers of up to 64 bits, negative ones too', () => {
  for (const [value, bytes] of [
    [0, [0]],
    [127, [0x7f]],
    [300, [0xac, 2]],
    [2 ** 35 + 5, [0x85, 0x80, 0x80, 0x80, 0x80, 1]],
    [2 ** 53, [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]],
    [-1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]],
    [-(2 ** 33), [0x80, 0x80, 0x80, 0x80, 0xe0, 0xff, 0xff, 0xff, 0xff, 1]],
  ] as const) {
    const walk = new ProtobufBytes(Buffer.from(bytes))
    assert.equal(walk.integer(), value)
    assert.equal(walk.at, bytes.length)
  }
})

test('a failure tells its reason and message', () => {
  const text = (number: number, value: string) =>
    Buffer.concat([Buffer.of((number << 3) | 2, value.length), Buffer.from(value)])
  const status = Buffer.concat([text(2, 'Failure'), text(3, 'not for you'), text(4, 'Forbidden')])
  const bytes = Buffer.concat([head, Buffer.of(0x12, status.length), status])
  assert.deepEqual(readStatus(bytes), {message: 'not for you', reason: 'Forbidden'})
})
