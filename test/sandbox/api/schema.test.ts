// SPDX-License-Identifier: Apache-2.0
// Goal: fields are checked against what Kubernetes has, and the table of fields is the one of the installed package.
// Method: generates the table anew and compares; then objects by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {kubeSchema} from '../../../bin/kube-schema.ts'
import committed from '../../../src/lib/sandbox/api/schema.json' with {type: 'json'}
import {typed} from '../../../src/lib/sandbox/api/schema.ts'

test('schema.json is up to date: bin/with-node bin/kube-schema.ts writes it', () => {
  assert.deepEqual(committed, kubeSchema())
})

test('known fields stay, nulls and unknown ones go, unknown ones are named with their path', () => {
  const pod = {
    kind: 'Pod',
    metadata: {name: 'a', labels: {any: 'thing'}, annotations: null},
    spec: {
      containers: [{name: 'c', imagee: 'x', resources: {limits: {cpu: 1, memory: '1Gi'}}}],
      nodeSelector: {a: 'b'},
    },
    extra: {},
  }
  const {value, unknown, fault} = typed('Pod', pod)
  assert.deepEqual(value, {
    kind: 'Pod',
    metadata: {name: 'a', labels: {any: 'thing'}},
    spec: {containers: [{name: 'c', resources: {limits: {cpu: 1, memory: '1Gi'}}}], nodeSelector: {a: 'b'}},
  })
  assert.deepEqual(unknown, ['spec.containers[0].imagee', 'extra'])
  assert.equal(fault, undefined)
})

test('names that every JavaScript object has are unknown fields', () => {
  assert.deepEqual(typed('Pod', {constructor: {}, spec: {toString: 1}}).unknown, [
    'constructor',
    'spec.toString',
  ])
})

for (const [kind, object, fault] of [
  ['Service', {spec: {ports: [{port: '80'}]}}, 'spec.ports[0].port: expected integer, got string'],
  ['Service', {spec: {ports: {port: 80}}}, 'spec.ports: expected list, got object'],
  ['Service', {spec: {ports: [{port: 80.5}]}}, 'spec.ports[0].port: expected integer, got number'],
  [
    'Service',
    {spec: {ports: [{port: 80, targetPort: true}]}},
    'spec.ports[0].targetPort: expected intOrString, got boolean',
  ],
  ['ConfigMap', {data: {a: 1}}, 'data.a: expected string, got number'],
  ['ConfigMap', {metadata: []}, 'metadata: expected object, got list'],
  ['Pod', {spec: {containers: [null]}}, 'spec.containers[0]: expected object, got null'],
  [
    'Deployment',
    {spec: {selector: {matchLabels: ['a']}}},
    'spec.selector.matchLabels: expected map, got list',
  ],
] as const) {
  test(`${kind}: ${fault}`, () => {
    assert.equal(typed(kind, object).fault, fault)
  })
}
