// SPDX-License-Identifier: Apache-2.0
// Goal: a pair's verdict is what Istio's rules and the capture of both pods give, and unknown where they do not tell.
// Method: a table of policies x capture; what is expected was worked out by hand from Istio's sources, named in each row.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {CalledService, IstioPolicies, Sent} from '../../src/lib/model/client-tls.ts'
import {
  DEFAULT_MESH,
  type DestinationRule,
  type PeerAuthentication,
  type RuleSubset,
} from '../../src/lib/model/istio-policy.ts'
import {
  type PairReason,
  type PairResult,
  type PodCapture,
  pairVerdict,
} from '../../src/lib/model/pair-verdict.ts'

// Where a rule comes from, below istio/istio.
const COMPOSE = 'pilot/pkg/security/authn/policy_applier.go'
const INFER = 'pilot/pkg/model/push_context.go BestEffortInferServiceMTLSMode'
const CHOICE = 'pilot/pkg/model/push_context.go destinationRule'
const MERGE = 'pilot/pkg/model/destination_rule.go'
const CLUSTER = 'pilot/pkg/networking/core/cluster_tls.go'
const CHECKER = 'pilot/pkg/xds/endpoints/mtls_checker.go'
const PORTS = 'pilot/pkg/networking/util'
const SUBSETS = 'pilot/pkg/networking/util MergeSubsetTrafficPolicy'
const CELL = 'who receives: capture of both pods'

const NOBODY: PodCapture = {kmesh: false, sidecar: false, bypassed: false, ambient: false}
const KMESH: PodCapture = {...NOBODY, kmesh: true}
const ENVOY: PodCapture = {...NOBODY, sidecar: true}
const BYPASSED: PodCapture = {...ENVOY, bypassed: true}
const KMESH_BYPASS: PodCapture = {...BYPASSED, kmesh: true}
const BESIDE: PodCapture = {...ENVOY, kmesh: true}
const AMBIENT: PodCapture = {...NOBODY, ambient: true}
const UNKNOWN: PodCapture = {...NOBODY, kmesh: null}

const HOST = 'cart.shop.svc.cluster.local'
const A = {'security.istio.io/tlsMode': 'istio', app: 'cart'}
const B = {app: 'cart'}
const C = {'security.istio.io/tlsMode': 'disabled', app: 'cart'}

let age = 0
/** Each one a second younger than the one before, unless it says otherwise. */
function metadata(
  namespace: string,
  name = `p${age}`,
): {name: string; namespace: string; creationTimestamp: string} {
  age += 1
  const second = String(age % 60).padStart(2, '0')
  const minute = String(Math.floor(age / 60)).padStart(2, '0')
  return {name, namespace, creationTimestamp: `2026-01-01T00:${minute}:${second}Z`}
}

type Mode = 'STRICT' | 'PERMISSIVE' | 'DISABLE' | 'UNSET'
const mode = (value: Mode | undefined) => (value === undefined ? {} : {mtls: {mode: value}})
const mesh = (value?: Mode): PeerAuthentication => ({metadata: metadata('istio-system'), spec: mode(value)})
const shop = (value?: Mode): PeerAuthentication => ({metadata: metadata('shop'), spec: mode(value)})
const cart = (value?: Mode, ports: Record<string, Mode> = {}): PeerAuthentication => ({
  metadata: metadata('shop'),
  spec: {
    selector: {matchLabels: {app: 'cart'}},
    ...mode(value),
    portLevelMtls: Object.fromEntries(Object.entries(ports).map(([port, level]) => [port, {mode: level}])),
  },
})

interface RuleOptions {
  readonly host?: string
  readonly port?: string | null
  readonly portNumber?: number
  readonly exportTo?: readonly string[]
  readonly client?: Record<string, string>
  readonly subsets?: readonly RuleSubset[]
}
/** @param tls - of the top level; `port`: of an entry for that port, null for an entry that says nothing */
function rule(namespace: string, tls: string | undefined, options: RuleOptions = {}): DestinationRule {
  const {host = HOST, port, portNumber = 80, exportTo, client, subsets} = options
  const entry = typeof port === 'string' ? {tls: {mode: port}} : {}
  return {
    metadata: metadata(namespace),
    spec: {
      host,
      ...(exportTo === undefined ? {} : {exportTo}),
      ...(client === undefined ? {} : {workloadSelector: {matchLabels: client}}),
      ...(subsets === undefined ? {} : {subsets}),
      trafficPolicy: {
        ...(tls === undefined ? {} : {tls: {mode: tls}}),
        ...(port === undefined ? {} : {portLevelSettings: [{port: {number: portNumber}, ...entry}]}),
      },
    },
  }
}

/** @param port - as for {@link rule}: an entry for port 80 */
function subset(tls?: string, labels: Record<string, string> = {}, port?: string | null): RuleSubset {
  const entry = typeof port === 'string' ? {tls: {mode: port}} : {}
  return {
    name: `s${age}`,
    labels,
    trafficPolicy: {
      ...(tls === undefined ? {} : {tls: {mode: tls}}),
      ...(port === undefined ? {} : {portLevelSettings: [{port: {number: 80}, ...entry}]}),
    },
  }
}

interface Row {
  readonly title: string
  readonly source: string
  readonly peer?: readonly PeerAuthentication[]
  readonly rules?: readonly DestinationRule[]
  readonly autoMtls?: boolean
  readonly client?: PodCapture
  readonly server?: PodCapture
  readonly labels?: Record<string, string>
  readonly others?: readonly Record<string, string>[]
  readonly service?: Partial<CalledService> | null
  readonly unreadable?: boolean
  readonly expected: Expected
}

/** What is sent, the mode of the server's Envoy, result, reason. */
type Expected = readonly [Sent | null, string | null, PairResult, PairReason]
const DIRECT: Expected = ['plain', null, 'works', 'Direct']
const RECEIVED: Expected = ['plain', 'PERMISSIVE', 'works', 'EnvoyReceives']
const DISABLED: Expected = ['plain', 'DISABLE', 'works', 'EnvoyReceives']
const REFUSED: Expected = ['plain', 'STRICT', 'fails', 'StrictRefusesPlainText']
const MUTUAL: Expected = ['mtls', 'PERMISSIVE', 'works', 'MutualTls']
const STRICT_MUTUAL: Expected = ['mtls', 'STRICT', 'works', 'MutualTls']
const LOST: Expected = ['mtls', null, 'fails', 'NobodyDecrypts']
const UNDECIDED: Expected = [null, null, 'unknown', 'SubsetDecides']
const NOT_TAKEN: Expected = ['mtls', 'DISABLE', 'fails', 'ServerEnvoyHasNoTls']

/** Client and server with a sidecar each unless the row says otherwise. */
// biome-ignore format: a table is read by its lines
const ROWS: readonly Row[] = [
  // ---- capture alone
  {title: 'plain to plain', source: CELL, client: NOBODY, server: NOBODY, labels: B, expected: DIRECT},
  {title: 'plain to Kmesh', source: CELL, client: NOBODY, server: KMESH, labels: B, expected: DIRECT},
  {title: 'plain to sidecar', source: CELL, client: NOBODY, expected: RECEIVED},
  {title: 'plain to a bypassed sidecar', source: CELL, client: NOBODY, server: KMESH_BYPASS, expected: DIRECT},
  {title: 'Kmesh to plain', source: CELL, client: KMESH, server: NOBODY, labels: B, expected: DIRECT},
  {title: 'Kmesh to Kmesh', source: CELL, client: KMESH, server: KMESH, labels: B, expected: DIRECT},
  {title: 'Kmesh to sidecar', source: CELL, client: KMESH, expected: RECEIVED},
  {title: 'Kmesh to a bypassed sidecar', source: CELL, client: KMESH, server: KMESH_BYPASS, expected: DIRECT},
  {title: 'sidecar to plain', source: CELL, server: NOBODY, labels: B, expected: DIRECT},
  {title: 'sidecar to Kmesh', source: CELL, server: KMESH, labels: B, expected: DIRECT},
  {title: 'sidecar to sidecar', source: CELL, expected: MUTUAL},
  {title: 'the problem: sidecar to a sidecar that Kmesh bypasses', source: CELL, server: KMESH_BYPASS, expected: LOST},
  {title: 'the problem, bypassed by its own label', source: CELL, server: BYPASSED, expected: LOST},
  {title: 'Kmesh with a bypassed sidecar to plain', source: CELL, client: KMESH_BYPASS, server: NOBODY, labels: B, expected: DIRECT},
  {title: 'Kmesh with a bypassed sidecar to sidecar', source: CELL, client: KMESH_BYPASS, expected: RECEIVED},
  {title: 'Kmesh with a bypassed sidecar to the same', source: CELL, client: KMESH_BYPASS, server: KMESH_BYPASS, expected: DIRECT},
  {title: 'bypassed, not captured, to sidecar', source: CELL, client: BYPASSED, expected: RECEIVED},
  {title: 'bypassed, not captured, to STRICT', source: CELL, client: BYPASSED, peer: [mesh('STRICT')], expected: REFUSED},
  {title: 'captured beside a live sidecar', source: CELL, client: BESIDE, expected: [null, null, 'unknown', 'CapturedBesideSidecar']},
  {title: 'a server captured beside a live sidecar', source: CELL, server: BESIDE, expected: [null, null, 'unknown', 'CapturedBesideSidecar']},
  {title: 'ambient client', source: CELL, client: AMBIENT, expected: [null, null, 'unknown', 'Ambient']},
  {title: 'ambient server', source: CELL, server: AMBIENT, expected: [null, null, 'unknown', 'Ambient']},
  {title: 'capture not told', source: CELL, client: UNKNOWN, expected: [null, null, 'unknown', 'CaptureUnknown']},
  // ---- may not read policies
  {title: 'no right to read, sidecar client', source: CELL, unreadable: true, expected: [null, null, 'unknown', 'PolicyUnreadable']},
  {title: 'no right to read, plain client to sidecar', source: CELL, unreadable: true, client: NOBODY, expected: ['plain', null, 'unknown', 'PolicyUnreadable']},
  {title: 'no right to read, and none needed', source: CELL, unreadable: true, client: KMESH, server: KMESH, labels: B, expected: DIRECT},
  // ---- effective mode of the server
  {title: 'mesh STRICT', source: COMPOSE, client: KMESH, peer: [mesh('STRICT')], expected: REFUSED},
  {title: 'mesh STRICT, sidecars on both sides', source: COMPOSE, peer: [mesh('STRICT')], expected: STRICT_MUTUAL},
  {title: 'mesh UNSET is PERMISSIVE', source: COMPOSE, client: KMESH, peer: [mesh('UNSET')], expected: RECEIVED},
  {title: 'namespace over mesh', source: COMPOSE, client: KMESH, peer: [mesh('STRICT'), shop('PERMISSIVE')], expected: RECEIVED},
  {title: 'namespace UNSET inherits', source: COMPOSE, client: KMESH, peer: [mesh('STRICT'), shop('UNSET')], expected: REFUSED},
  {title: 'namespace without mtls inherits', source: COMPOSE, client: KMESH, peer: [mesh('STRICT'), shop()], expected: REFUSED},
  {title: 'workload over namespace', source: COMPOSE, client: KMESH, peer: [shop('STRICT'), cart('PERMISSIVE')], expected: RECEIVED},
  {title: 'workload STRICT', source: COMPOSE, client: KMESH, peer: [shop('PERMISSIVE'), cart('STRICT')], expected: REFUSED},
  {title: 'workload of another label', source: COMPOSE, client: KMESH, labels: {...A, app: 'other'}, peer: [cart('STRICT')], expected: RECEIVED},
  {title: 'port STRICT', source: COMPOSE, client: KMESH, peer: [cart('PERMISSIVE', {'8080': 'STRICT'})], expected: REFUSED},
  {title: 'port PERMISSIVE below a strict workload', source: COMPOSE, client: KMESH, peer: [cart('STRICT', {'8080': 'PERMISSIVE'})], expected: RECEIVED},
  {title: 'the number of the service port has no say', source: COMPOSE, client: KMESH, peer: [cart('PERMISSIVE', {'80': 'STRICT'})], expected: RECEIVED},
  {title: 'port UNSET is the workload', source: COMPOSE, client: KMESH, peer: [cart('STRICT', {'8080': 'UNSET'})], expected: REFUSED},
  {title: 'port of a workload that inherits', source: COMPOSE, client: KMESH, peer: [mesh('STRICT'), cart(undefined, {'8080': 'DISABLE'})], expected: DISABLED},
  {title: 'the oldest of a namespace wins', source: COMPOSE, client: KMESH, peer: [shop('PERMISSIVE'), shop('STRICT')], expected: RECEIVED},
  {title: 'the oldest wins though it is UNSET', source: COMPOSE, client: KMESH, peer: [shop('UNSET'), shop('STRICT')], expected: RECEIVED},
  {title: 'ports of a younger workload policy do not count', source: COMPOSE, client: KMESH, peer: [cart('PERMISSIVE'), cart('STRICT', {'8080': 'STRICT'})], expected: RECEIVED},
  {title: 'the older one has ports only: the younger mode does not count', source: COMPOSE, client: KMESH, peer: [cart(undefined, {'9090': 'STRICT'}), cart('STRICT')], expected: RECEIVED},
  {title: 'of one second the name decides', source: COMPOSE, client: KMESH, peer: [{...shop('STRICT'), metadata: {namespace: 'shop', name: 'b', creationTimestamp: '2026-01-01T00:00:00Z'}}, {...shop('PERMISSIVE'), metadata: {namespace: 'shop', name: 'a', creationTimestamp: '2026-01-01T00:00:00Z'}}], expected: RECEIVED},
  {title: 'a selector in the root namespace is ignored', source: COMPOSE, client: KMESH, peer: [{metadata: metadata('istio-system'), spec: {selector: {matchLabels: {app: 'cart'}}, mtls: {mode: 'STRICT'}}}], expected: RECEIVED},
  {title: 'an empty selector is namespace scope', source: COMPOSE, client: KMESH, peer: [{metadata: metadata('shop'), spec: {selector: {matchLabels: {}}, mtls: {mode: 'STRICT'}}}], expected: REFUSED},
  {title: "a policy of the client's namespace has no say", source: INFER, client: KMESH, peer: [{metadata: metadata('web'), spec: {mtls: {mode: 'STRICT'}}}], expected: RECEIVED},
  // ---- what a sidecar client sends by itself
  {title: 'no label on the endpoint', source: CHECKER, labels: B, expected: RECEIVED},
  {title: 'no label, STRICT', source: CHECKER, labels: B, peer: [mesh('STRICT')], expected: REFUSED},
  {title: 'label disabled', source: CHECKER, labels: C, expected: RECEIVED},
  {title: 'auto-mTLS off', source: CLUSTER, autoMtls: false, expected: RECEIVED},
  {title: 'auto-mTLS off, STRICT', source: CLUSTER, autoMtls: false, peer: [mesh('STRICT')], expected: REFUSED},
  {title: 'mesh DISABLE', source: INFER, peer: [mesh('DISABLE')], expected: DISABLED},
  {title: 'mesh DISABLE opens the bypassed server', source: INFER, server: KMESH_BYPASS, peer: [mesh('DISABLE')], expected: DIRECT},
  {title: 'namespace DISABLE, workload STRICT: refused', source: INFER, peer: [shop('DISABLE'), cart('STRICT')], expected: REFUSED},
  {title: 'namespace STRICT over mesh DISABLE', source: INFER, peer: [mesh('DISABLE'), shop('STRICT')], expected: STRICT_MUTUAL},
  {title: 'workload DISABLE', source: CHECKER, peer: [cart('DISABLE')], expected: DISABLED},
  {title: 'target port DISABLE', source: CHECKER, peer: [cart('STRICT', {'8080': 'DISABLE'})], expected: DISABLED},
  {title: 'target port DISABLE opens the bypassed server', source: CHECKER, server: KMESH_BYPASS, peer: [cart('STRICT', {'8080': 'DISABLE'})], expected: DIRECT},
  {title: 'service port DISABLE has no effect', source: CHECKER, server: KMESH_BYPASS, peer: [cart('STRICT', {'80': 'DISABLE'})], expected: LOST},
  {title: 'MESH_EXTERNAL: no auto-mTLS', source: CLUSTER, service: {isExternal: true}, expected: RECEIVED},
  {title: "a pod's own address is passed through", source: CELL, service: null, expected: RECEIVED},
  {title: "a pod's own address, STRICT", source: CELL, service: null, peer: [mesh('STRICT')], expected: REFUSED},
  // ---- headless
  {title: 'headless, all with label', source: CLUSTER, service: {isHeadless: true}, others: [A], expected: MUTUAL},
  {title: 'headless, one disabled', source: CLUSTER, service: {isHeadless: true}, others: [C], expected: RECEIVED},
  {title: 'headless, none with label', source: CLUSTER, service: {isHeadless: true}, labels: B, others: [B], expected: RECEIVED},
  {title: 'headless, some with label', source: CLUSTER, service: {isHeadless: true}, others: [B], expected: [null, null, 'unknown', 'MixedHeadless']},
  {title: 'headless does not honour a workload DISABLE', source: CLUSTER, service: {isHeadless: true}, peer: [cart('DISABLE')], expected: NOT_TAKEN},
  // ---- DestinationRule
  {title: 'rule DISABLE', source: CLUSTER, rules: [rule('shop', 'DISABLE')], expected: RECEIVED},
  {title: 'rule DISABLE at STRICT', source: CLUSTER, peer: [mesh('STRICT')], rules: [rule('shop', 'DISABLE')], expected: REFUSED},
  {title: 'rule DISABLE opens the bypassed server', source: CLUSTER, server: KMESH_BYPASS, rules: [rule('shop', 'DISABLE')], expected: DIRECT},
  {title: 'rule ISTIO_MUTUAL to a plain server', source: CLUSTER, server: NOBODY, labels: B, rules: [rule('shop', 'ISTIO_MUTUAL')], expected: LOST},
  {title: 'rule ISTIO_MUTUAL to a Kmesh server', source: CLUSTER, server: KMESH, labels: B, rules: [rule('shop', 'ISTIO_MUTUAL')], expected: LOST},
  {title: 'rule ISTIO_MUTUAL where the server has DISABLE', source: CLUSTER, peer: [mesh('DISABLE')], rules: [rule('shop', 'ISTIO_MUTUAL')], expected: NOT_TAKEN},
  {title: 'rule SIMPLE at STRICT', source: CLUSTER, peer: [mesh('STRICT')], rules: [rule('shop', 'SIMPLE')], expected: ['tls', 'STRICT', 'fails', 'NoClientCertificate']},
  {title: 'rule SIMPLE at PERMISSIVE', source: CLUSTER, rules: [rule('shop', 'SIMPLE')], expected: ['tls', 'PERMISSIVE', 'unknown', 'TlsReachesApplication']},
  {title: 'rule SIMPLE to a plain server', source: CLUSTER, server: NOBODY, labels: B, rules: [rule('shop', 'SIMPLE')], expected: ['tls', null, 'fails', 'NobodyDecrypts']},
  {title: 'rule MUTUAL at STRICT', source: CLUSTER, peer: [mesh('STRICT')], rules: [rule('shop', 'MUTUAL')], expected: ['mutual', 'STRICT', 'unknown', 'ForeignCertificates']},
  {title: 'a rule without tls is none', source: CLUSTER, rules: [rule('shop', undefined)], expected: MUTUAL},
  {title: 'a captured client follows no rule', source: CELL, client: KMESH, rules: [rule('shop', 'ISTIO_MUTUAL')], expected: RECEIVED},
  {title: "the client's namespace first", source: CHOICE, rules: [rule('shop', 'ISTIO_MUTUAL'), rule('web', 'DISABLE')], expected: RECEIVED},
  {title: 'a wildcard of the client beats an exact host of the service', source: CHOICE, rules: [rule('shop', 'ISTIO_MUTUAL'), rule('web', 'DISABLE', {host: '*.shop.svc.cluster.local'})], expected: RECEIVED},
  {title: 'the root namespace last', source: CHOICE, rules: [rule('istio-system', 'DISABLE', {host: '*'})], expected: RECEIVED},
  {title: 'no merge across namespaces', source: CHOICE, rules: [rule('web', undefined), rule('shop', 'DISABLE')], expected: MUTUAL},
  {title: 'a rule that is not exported', source: CHOICE, rules: [rule('shop', 'DISABLE', {exportTo: ['.']})], expected: MUTUAL},
  {title: 'a rule exported to the client', source: CHOICE, rules: [rule('shop', 'DISABLE', {exportTo: ['web']})], expected: RECEIVED},
  {title: "a rule of the client's namespace for others only", source: CHOICE, rules: [rule('web', 'DISABLE', {exportTo: ['shop']})], expected: MUTUAL},
  {title: 'workloadSelector makes exportTo void', source: CHOICE, rules: [rule('web', 'DISABLE', {exportTo: ['shop'], client: {app: 'web'}})], expected: RECEIVED},
  {title: 'the closest host decides, also when it is exported to others', source: CHOICE, rules: [rule('shop', 'DISABLE', {host: '*.shop.svc.cluster.local'}), rule('shop', 'DISABLE', {exportTo: ['other']})], expected: MUTUAL},
  {title: 'the closest host that nobody else sees hides nothing', source: CHOICE, rules: [rule('shop', 'DISABLE', {host: '*.shop.svc.cluster.local'}), rule('shop', undefined, {exportTo: ['.']})], expected: RECEIVED},
  {title: 'a rule of a third namespace', source: CHOICE, rules: [rule('other', 'DISABLE')], expected: MUTUAL},
  {title: 'exact over wildcard', source: MERGE, rules: [rule('shop', 'ISTIO_MUTUAL', {host: '*.shop.svc.cluster.local'}), rule('shop', 'DISABLE')], expected: RECEIVED},
  {title: 'longer wildcard over shorter', source: MERGE, rules: [rule('shop', 'ISTIO_MUTUAL', {host: '*.local'}), rule('shop', 'DISABLE', {host: '*.shop.svc.cluster.local'})], expected: RECEIVED},
  {title: 'two of a host: the oldest', source: MERGE, rules: [rule('shop', 'DISABLE'), rule('shop', 'ISTIO_MUTUAL')], expected: RECEIVED},
  {title: 'two of a host: the oldest that says anything', source: MERGE, rules: [rule('shop', undefined), rule('shop', 'DISABLE')], expected: RECEIVED},
  {title: "a short name is of the rule's namespace", source: CHOICE, rules: [rule('shop', 'DISABLE', {host: 'cart'})], expected: RECEIVED},
  {title: 'a short name elsewhere is another service', source: CHOICE, rules: [rule('web', 'DISABLE', {host: 'cart'})], expected: MUTUAL},
  {title: 'name.namespace matches nothing', source: CHOICE, rules: [rule('shop', 'DISABLE', {host: 'cart.shop'})], expected: MUTUAL},
  {title: 'workloadSelector of this client', source: CHOICE, rules: [rule('web', 'DISABLE', {client: {app: 'web'}})], expected: RECEIVED},
  {title: "workloadSelector of another client hides the service's rule", source: CHOICE, rules: [rule('web', 'ISTIO_MUTUAL', {client: {app: 'else'}}), rule('shop', 'DISABLE')], expected: MUTUAL},
  {title: 'workloadSelector counts in its own namespace only', source: CHOICE, rules: [rule('shop', 'DISABLE', {client: {app: 'web'}})], expected: MUTUAL},
  // ---- ports of a rule
  {title: 'port entry over top level', source: PORTS, rules: [rule('shop', 'ISTIO_MUTUAL', {port: 'DISABLE'})], expected: RECEIVED},
  {title: 'entry of another port', source: PORTS, rules: [rule('shop', 'DISABLE', {port: 'ISTIO_MUTUAL', portNumber: 81})], expected: RECEIVED},
  {title: 'entry of the target port has no effect', source: PORTS, rules: [rule('shop', 'DISABLE', {port: 'ISTIO_MUTUAL', portNumber: 8080})], expected: RECEIVED},
  {title: 'silent entry below SIMPLE', source: CHECKER, rules: [rule('shop', 'SIMPLE', {port: null})], expected: RECEIVED},
  {title: 'silent entry below DISABLE', source: CHECKER, rules: [rule('shop', 'DISABLE', {port: null})], expected: RECEIVED},
  {title: 'silent entry below MUTUAL', source: CHECKER, rules: [rule('shop', 'MUTUAL', {port: null})], expected: RECEIVED},
  {title: 'silent entry below DISABLE, headless', source: CLUSTER, service: {isHeadless: true}, others: [A], rules: [rule('shop', 'DISABLE', {port: null})], expected: MUTUAL},
  {title: 'silent entry below ISTIO_MUTUAL', source: CHECKER, rules: [rule('shop', 'ISTIO_MUTUAL', {port: null})], expected: MUTUAL},
  {title: 'silent entry below ISTIO_MUTUAL, no label', source: CHECKER, server: NOBODY, labels: B, rules: [rule('shop', 'ISTIO_MUTUAL', {port: null})], expected: DIRECT},
  {title: 'silent entry below ISTIO_MUTUAL ignores a workload DISABLE', source: CHECKER, peer: [cart('DISABLE')], rules: [rule('shop', 'ISTIO_MUTUAL', {port: null})], expected: NOT_TAKEN},
  // ---- subsets, which VirtualServices choose
  {title: 'subset without tls inherits', source: SUBSETS, rules: [rule('shop', 'DISABLE', {subsets: [subset()]})], expected: RECEIVED},
  {title: 'subset without tls inherits the port entry first', source: SUBSETS, rules: [rule('shop', 'ISTIO_MUTUAL', {port: 'DISABLE', subsets: [subset()]})], expected: RECEIVED},
  {title: 'subset over top level', source: SUBSETS, rules: [rule('shop', 'DISABLE', {subsets: [subset('ISTIO_MUTUAL')]})], expected: UNDECIDED},
  {title: 'subset over port entry', source: SUBSETS, rules: [rule('shop', 'ISTIO_MUTUAL', {port: 'DISABLE', subsets: [subset('ISTIO_MUTUAL')]})], expected: UNDECIDED},
  {title: 'subset of the same mode as the port entry', source: SUBSETS, rules: [rule('shop', 'ISTIO_MUTUAL', {port: 'DISABLE', subsets: [subset('DISABLE')]})], expected: RECEIVED},
  {title: 'subset alone, other than automatic', source: SUBSETS, rules: [rule('shop', undefined, {subsets: [subset('DISABLE')]})], expected: UNDECIDED},
  {title: 'subset alone that says what is automatic here', source: SUBSETS, rules: [rule('shop', undefined, {subsets: [subset('ISTIO_MUTUAL')]})], expected: MUTUAL},
  {title: 'the same subset where automatic is plain text', source: SUBSETS, labels: B, rules: [rule('shop', undefined, {subsets: [subset('ISTIO_MUTUAL')]})], expected: UNDECIDED},
  {title: 'subset of other endpoints', source: SUBSETS, rules: [rule('shop', 'DISABLE', {subsets: [subset('ISTIO_MUTUAL', {version: 'v2'})]})], expected: RECEIVED},
  {title: 'subset of this endpoint among others', source: SUBSETS, labels: {...A, version: 'v2'}, rules: [rule('shop', 'DISABLE', {subsets: [subset('DISABLE', {version: 'v1'}), subset('ISTIO_MUTUAL', {version: 'v2'})]})], expected: UNDECIDED},
  {title: 'port entry of a subset over its own level', source: SUBSETS, rules: [rule('shop', 'DISABLE', {subsets: [subset('ISTIO_MUTUAL', {}, 'DISABLE')]})], expected: RECEIVED},
  {title: 'silent port entry of a subset is automatic', source: SUBSETS, rules: [rule('shop', 'ISTIO_MUTUAL', {subsets: [subset(undefined, {}, null)]})], expected: MUTUAL},
  {title: 'two rules of a host: subsets of the younger count', source: MERGE, rules: [rule('shop', 'DISABLE'), rule('shop', undefined, {subsets: [subset('ISTIO_MUTUAL')]})], expected: UNDECIDED},
  {title: 'subsets of a rule that another namespace hides', source: CHOICE, rules: [rule('web', 'DISABLE'), rule('shop', undefined, {subsets: [subset('ISTIO_MUTUAL')]})], expected: RECEIVED},
  {title: 'subsets say nothing to a captured client', source: CELL, client: KMESH, rules: [rule('shop', 'DISABLE', {subsets: [subset('ISTIO_MUTUAL')]})], expected: RECEIVED},
  {title: 'silent entry alone is automatic', source: CHECKER, rules: [rule('shop', undefined, {port: null})], expected: MUTUAL},
]

for (const row of ROWS) {
  test(`${row.title} (${row.source})`, () => {
    const {autoMtls = true, client = ENVOY, server = ENVOY, labels = A, others = []} = row
    const policies: IstioPolicies = {
      mesh: {...DEFAULT_MESH, autoMtls},
      peerAuthentications: row.peer ?? [],
      destinationRules: row.rules ?? [],
    }
    const service: CalledService | null =
      row.service === null
        ? null
        : {namespace: 'shop', host: HOST, port: 80, isHeadless: false, isExternal: false, ...row.service}
    const endpoint = {namespace: 'shop', labels, targetPort: 8080, capture: server}
    const all = [endpoint, ...others.map((other) => ({namespace: 'shop', labels: other, targetPort: 8080}))]
    const found = pairVerdict(
      row.unreadable ? undefined : policies,
      {namespace: 'web', labels: {app: 'web'}, capture: client},
      service,
      endpoint,
      all,
    )
    assert.deepEqual([found.sent, found.mtls?.mode ?? null, found.result, found.reason], row.expected)
  })
}

test('titles are unique: no row hides another', () => {
  assert.equal(new Set(ROWS.map(({title}) => title)).size, ROWS.length)
  assert.ok(ROWS.length >= 60)
})
