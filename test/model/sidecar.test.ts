// SPDX-License-Identifier: Apache-2.0
// Goal: the prediction "a sidecar is injected at the next start" is Istio's own, rule by rule.
// Method: one table row for each case of the rules that labels can decide; expected values by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {Pod} from '../../src/lib/model/kube.ts'
import {decideInjection, type InjectorSettings, wantsAmbient} from '../../src/lib/model/sidecar.ts'

interface Case {
  readonly title: string
  readonly ns?: Record<string, string>
  readonly pod?: Record<string, string>
  readonly notes?: Record<string, string>
  readonly namespace?: string
  readonly hostNetwork?: boolean
  readonly settings?: InjectorSettings
  readonly rule: string
  readonly revision: string | null
}

const on = {'istio-injection': 'enabled'}
const rev = {'istio.io/rev': 'r1'}
const inject = (value: string) => ({'sidecar.istio.io/inject': value})

const CASES: readonly Case[] = [
  {title: '1 namespace revision', ns: rev, rule: 'NamespaceRevision', revision: 'r1'},
  {
    title: '1 namespace revision beats the pod revision',
    ns: rev,
    pod: {'istio.io/rev': 'r2'},
    rule: 'NamespaceRevision',
    revision: 'r1',
  },
  {
    title: '1 not where the pod says false',
    ns: rev,
    pod: inject('false'),
    rule: 'PodInjectFalse',
    revision: null,
  },
  {title: '2 pod revision needs no inject label', pod: rev, rule: 'PodRevision', revision: 'r1'},
  {title: '2 not with false', pod: {...rev, ...inject('false')}, rule: 'PodInjectFalse', revision: null},
  {title: '3 namespace enabled', ns: on, rule: 'NamespaceInjection', revision: 'default'},
  {
    title: '3 enabled beats both revisions',
    ns: {...on, ...rev},
    pod: rev,
    rule: 'NamespaceInjection',
    revision: 'default',
  },
  {title: '3 not with false', ns: on, pod: inject('false'), rule: 'PodInjectFalse', revision: null},
  {title: '4 pod says true', pod: inject('true'), rule: 'PodInject', revision: 'default'},
  {title: '4 only exactly true', pod: inject('True'), rule: 'NotSelected', revision: null},
  {
    title: '5 namespaces by default',
    settings: {namespacesByDefault: true},
    rule: 'NamespacesByDefault',
    revision: 'default',
  },
  {
    title: '5 not for a pod with the label',
    pod: inject('yes'),
    settings: {namespacesByDefault: true},
    rule: 'NotSelected',
    revision: null,
  },
  {
    title: '5 not in a system namespace',
    namespace: 'kube-node-lease',
    settings: {namespacesByDefault: true},
    rule: 'SystemNamespace',
    revision: null,
  },
  {
    title: '6 other value: never, whatever the pod says',
    ns: {'istio-injection': 'yes'},
    pod: {...rev, ...inject('true')},
    rule: 'NamespaceInjectionOff',
    revision: null,
  },
  {
    title: '6 empty value',
    ns: {'istio-injection': '', ...rev},
    rule: 'NamespaceInjectionOff',
    revision: null,
  },
  {title: '7 host network', ns: on, hostNetwork: true, rule: 'HostNetwork', revision: null},
  {title: '8 kube-system', ns: on, namespace: 'kube-system', rule: 'SystemNamespace', revision: null},
  {
    title: '8 local-path-storage',
    ns: on,
    namespace: 'local-path-storage',
    rule: 'SystemNamespace',
    revision: null,
  },
  {
    title: '8 istio-system is injected',
    ns: on,
    namespace: 'istio-system',
    rule: 'NamespaceInjection',
    revision: 'default',
  },
  {
    title: '9 label over annotation, even empty',
    ns: on,
    pod: inject(''),
    notes: inject('false'),
    rule: 'NamespaceInjection',
    revision: 'default',
  },
  {
    title: '10 other values mean the default policy',
    ns: on,
    pod: inject('yes'),
    rule: 'NamespaceInjection',
    revision: 'default',
  },
  {title: '11 annotation true calls nobody', notes: inject('true'), rule: 'NotSelected', revision: null},
  {
    title: '11 annotation false stops it',
    ns: on,
    notes: inject('false'),
    rule: 'AnnotationInjectFalse',
    revision: null,
  },
  {
    title: '12 annotation of another value',
    ns: on,
    notes: inject('no'),
    rule: 'NamespaceInjection',
    revision: 'default',
  },
  {
    title: '13 revision that nobody serves',
    ns: {'istio.io/rev': 'nosuch'},
    settings: {servedRevisions: new Set(['r1'])},
    rule: 'RevisionNotServed',
    revision: null,
  },
  {
    title: '13 unknown webhooks count as serving',
    ns: {'istio.io/rev': 'nosuch'},
    rule: 'NamespaceRevision',
    revision: 'nosuch',
  },
  {
    title: '14 ambient label prevents nothing',
    ns: {...on, 'istio.io/dataplane-mode': 'ambient'},
    rule: 'NamespaceInjection',
    revision: 'default',
  },
  {title: 'nothing said', rule: 'NotSelected', revision: null},
]

for (const item of CASES) {
  test(`injection: ${item.title}`, () => {
    const pod: Pod = {
      metadata: {labels: item.pod ?? {}, annotations: item.notes ?? {}},
      spec: {containers: [], ...(item.hostNetwork ? {hostNetwork: true} : {})},
    }
    assert.deepEqual(decideInjection(pod, item.namespace ?? 'shop', item.ns, item.settings), {
      inject: item.revision !== null,
      rule: item.rule,
      revision: item.revision,
    })
  })
}

test('14 ambient leaves out sidecars, host network and pods labelled none', () => {
  const ns = {'istio.io/dataplane-mode': 'ambient'}
  assert.equal(wantsAmbient({metadata: {}}, ns), true)
  assert.equal(wantsAmbient({metadata: {labels: {'istio.io/dataplane-mode': 'none'}}}, ns), false)
  assert.equal(wantsAmbient({metadata: {annotations: {'sidecar.istio.io/status': '{}'}}}, ns), false)
  assert.equal(wantsAmbient({metadata: {}, spec: {hostNetwork: true}}, ns), false)
  assert.equal(wantsAmbient({metadata: {}}, {'istio.io/dataplane-mode': 'kmesh'}), false)
})
