// SPDX-License-Identifier: Apache-2.0
// Goal: what is decided for a pod with, without and before a sidecar, by policy, labels and settings.
// Method: a table written by hand; each row one pod.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {decidePod} from '../../src/lib/agent/decide.ts'
import type {SidecarPolicy} from '../../src/lib/model/api.ts'
import type {Namespace} from '../../src/lib/model/kube.ts'
import {pod} from './fakes.ts'

const MODE = 'istio.io/dataplane-mode'
const BYPASS = 'kmesh.net/bypass'
const SIDECAR = {'sidecar.istio.io/status': '{}'}

interface Row {
  readonly name: string
  readonly policy?: SidecarPolicy
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly spec?: object
  readonly phase?: string
  readonly namespace?: Readonly<Record<string, string>>
  /** `enroll`, `bypass`, both or neither, then the rule. */
  readonly want: string
}

const ROWS: readonly Row[] = [
  {name: 'plain', labels: {[MODE]: 'kmesh'}, want: 'enroll PodLabelKmesh'},
  {name: 'sidecar', labels: {[MODE]: 'kmesh'}, annotations: SIDECAR, want: 'enroll bypass PodLabelKmesh'},
  {
    name: 'by namespace',
    namespace: {[MODE]: 'Kmesh'},
    annotations: SIDECAR,
    want: 'enroll bypass NamespaceLabel',
  },
  {
    name: 'sidecar to come',
    labels: {[MODE]: 'kmesh'},
    namespace: {'istio-injection': 'enabled'},
    want: 'enroll bypass PodLabelKmesh',
  },
  {
    name: 'the pod refuses injection',
    labels: {[MODE]: 'kmesh', 'sidecar.istio.io/inject': 'false'},
    namespace: {'istio-injection': 'enabled'},
    want: 'enroll PodLabelKmesh',
  },
  {
    name: 'exclude',
    policy: 'exclude',
    labels: {[MODE]: 'kmesh'},
    annotations: SIDECAR,
    want: 'SidecarPresent',
  },
  {
    name: 'exclude: a sidecar that is not there is not short-circuited',
    policy: 'exclude',
    labels: {[MODE]: 'kmesh'},
    namespace: {'istio-injection': 'enabled'},
    want: 'enroll PodLabelKmesh',
  },
  {name: 'label of bypass', labels: {[BYPASS]: 'enabled'}, annotations: SIDECAR, want: 'bypass NotLabelled'},
  {
    name: 'label of bypass, exclude',
    policy: 'exclude',
    labels: {[BYPASS]: 'enabled', [MODE]: 'kmesh'},
    annotations: SIDECAR,
    want: 'bypass SidecarPresent',
  },
  {
    name: 'on the namespace',
    namespace: {[BYPASS]: 'enabled'},
    annotations: SIDECAR,
    want: 'bypass NotLabelled',
  },
  {
    name: 'the pod opts out',
    labels: {[BYPASS]: 'disabled'},
    namespace: {[BYPASS]: 'enabled'},
    annotations: SIDECAR,
    want: 'NotLabelled',
  },
  {name: 'no such value', labels: {[BYPASS]: 'Enabled'}, annotations: SIDECAR, want: 'NotLabelled'},
  {name: 'nothing to short-circuit', labels: {[BYPASS]: 'enabled'}, want: 'NotLabelled'},
  {
    name: 'network of the host',
    labels: {[BYPASS]: 'enabled', [MODE]: 'kmesh'},
    annotations: SIDECAR,
    spec: {hostNetwork: true},
    want: 'HostNetwork',
  },
  {
    name: 'finished',
    labels: {[BYPASS]: 'enabled', [MODE]: 'kmesh'},
    annotations: SIDECAR,
    phase: 'Succeeded',
    want: 'PodLabelKmesh',
  },
]

describe('decidePod', () => {
  for (const {name, policy = 'bypass', namespace, want, ...row} of ROWS) {
    test(`${name}: ${want}`, () => {
      const subject = pod('shop/a', ['10.0.0.1'], row)
      const known: Namespace = {metadata: {name: 'shop', ...(namespace && {labels: namespace})}}
      const {enroll, bypass, rule} = decidePod(subject, 'uid-a', known, undefined, policy)
      const words = [...(enroll ? ['enroll'] : []), ...(bypass ? ['bypass'] : []), rule]
      assert.equal(words.join(' '), want)
    })
  }
})
