// SPDX-License-Identifier: Apache-2.0
// Goal: every state of every hop, every stale or missing entry by its code, and what a connect does with it.
// Method: tables by hand, one thing wrong at a time; expected hops, ways and sentences by hand from the C code.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import type {HopName, HopState, PathItem} from '../../src/lib/model/path.ts'
import {traceOf} from '../../src/lib/model/path-trace.ts'
import {
  backend,
  CAPTURED,
  type Case,
  cart,
  checked,
  ENDPOINTS,
  ENVOY,
  KMESH,
  POD_1,
  POD_2,
  pathWith,
  service,
  slice,
  tables,
  VIP,
} from './path-fixtures.ts'

const stateOf = ({hops}: PathItem, hop: HopName): HopState | undefined =>
  hops.find((one) => one.hop === hop)?.state
const codesOf = ({findings}: PathItem): string[] => findings.map(({hop, code}) => `${hop} ${code}`)
/** `weight via address:port verdict reason`, with why Kmesh left it alone. */
const waysOf = ({ways}: PathItem): string[] =>
  ways.map(({weight, via, address, port, verdict, left}) =>
    [weight, via, `${address}:${port}`, verdict, ...(left === null ? [] : [left])].join(' '),
  )

const BOTH = [`1 kmesh ${POD_1}:8080 works`, `1 kmesh ${POD_2}:8080 works`]
const leftAlone = (why: string, weight = 1): string[] => [`${weight} kube-proxy ${VIP}:80 works ${why}`]

interface Expected {
  readonly hop: HopName
  readonly state: HopState
  readonly codes: readonly string[]
  readonly ways: readonly string[]
}

const CASES: readonly (readonly [string, Case, Expected])[] = [
  ['all in order', {}, {hop: 'backend', state: 'ok', codes: [], ways: BOTH}],
  [
    'captured and not asked for',
    {managed: {...CAPTURED, intent: false, rule: 'NotLabelled'}},
    {hop: 'managed', state: 'differs', codes: ['managed CaptureStale'], ways: BOTH},
  ],
  [
    'asked for and not captured',
    {managed: {...CAPTURED, captured: false}},
    {
      hop: 'managed',
      state: 'missing',
      codes: ['managed NotCaptured'],
      ways: [`1 kube-proxy ${VIP}:80 works`],
    },
  ],
  [
    'nobody tells whether it is captured',
    {managed: {...CAPTURED, captured: null, note: 'no daemon'}, tables: undefined, unreadable: 'no daemon'},
    {hop: 'frontend', state: 'unknown', codes: [], ways: [`1 unknown ${VIP}:80 unknown`]},
  ],
  [
    'not captured: no map is looked at',
    {managed: {...CAPTURED, captured: false, intent: false}, tables: tables({upstreamId: undefined})},
    {hop: 'frontend', state: 'skipped', codes: [], ways: [`1 kube-proxy ${VIP}:80 works`]},
  ],
  [
    'no frontend',
    {tables: tables({upstreamId: undefined, service: undefined})},
    {hop: 'frontend', state: 'missing', codes: ['frontend FrontendMissing'], ways: leftAlone('NoFrontend')},
  ],
  [
    'frontend of another service',
    {tables: tables({upstreamId: 8})},
    {hop: 'frontend', state: 'differs', codes: ['frontend FrontendElsewhere'], ways: BOTH},
  ],
  [
    'frontend of an address that nobody has',
    {called: null},
    {hop: 'frontend', state: 'differs', codes: ['frontend FrontendStale'], ways: BOTH.map((way) => way)},
  ],
  [
    'an address outside the cluster',
    {called: null, tables: tables({upstreamId: undefined, service: undefined})},
    {hop: 'frontend', state: 'ok', codes: [], ways: ['1 direct 10.0.0.99:80 unknown NoFrontend']},
  ],
  [
    'frontend without service and backend',
    {tables: tables({service: undefined})},
    {
      hop: 'service',
      state: 'missing',
      codes: ['service FrontendLeadsNowhere'],
      ways: leftAlone('FrontendLeadsNowhere'),
    },
  ],
  [
    'count of none',
    {
      tables: tables({
        service: service({endpointCount: [0, 0, 0, 0, 0, 0, 0]}),
        endpoints: new Map(),
        backends: new Map(),
      }),
    },
    {
      hop: 'priority',
      state: 'missing',
      codes: ['priority NoKernelEndpoints', 'endpoints EndpointLacking'],
      ways: leftAlone('NoEndpoints'),
    },
  ],
  [
    'endpoints of a priority that policy random does not look at',
    {
      tables: tables({
        service: service({endpointCount: [0, 2, 0, 0, 0, 0, 0]}),
        endpoints: new Map([[1, ENDPOINTS.get(0) ?? new Map()]]),
      }),
    },
    {
      hop: 'priority',
      state: 'missing',
      codes: ['priority NoKernelEndpoints'],
      ways: leftAlone('NoEndpoints'),
    },
  ],
  [
    'the same with policy failover',
    {
      tables: tables({
        service: service({endpointCount: [0, 2, 0, 0, 0, 0, 0], lbPolicy: 'failover'}),
        endpoints: new Map([[1, ENDPOINTS.get(0) ?? new Map()]]),
      }),
    },
    {hop: 'priority', state: 'ok', codes: [], ways: BOTH},
  ],
  [
    'count too large: what is missing becomes the first endpoint',
    {tables: tables({service: service({endpointCount: [5, 0, 0, 0, 0, 0, 0]})})},
    {
      hop: 'endpoints',
      state: 'missing',
      codes: ['endpoints EndpointMissing'],
      ways: [`4 kmesh ${POD_1}:8080 works`, `1 kmesh ${POD_2}:8080 works`],
    },
  ],
  [
    'count too small',
    {tables: tables({service: service({endpointCount: [1, 0, 0, 0, 0, 0, 0]})})},
    {
      hop: 'endpoints',
      state: 'missing',
      codes: ['endpoints EndpointLacking', 'endpoints EndpointBeyondCount'],
      ways: [`1 kmesh ${POD_1}:8080 works`],
    },
  ],
  [
    'an entry behind the count only',
    {
      slices: [slice([POD_1])],
      tables: tables({service: service({endpointCount: [1, 0, 0, 0, 0, 0, 0]})}),
    },
    {
      hop: 'endpoints',
      state: 'differs',
      codes: ['endpoints EndpointBeyondCount'],
      ways: [`1 kmesh ${POD_1}:8080 works`],
    },
  ],
  [
    'first endpoint missing: whoever draws it is left alone',
    {tables: tables({endpoints: new Map([[0, new Map([[2, 12]])]])})},
    {
      hop: 'endpoints',
      state: 'missing',
      codes: ['endpoints EndpointMissing', 'endpoints EndpointLacking'],
      ways: [`1 kmesh ${POD_2}:8080 works`, ...leftAlone('EndpointWithoutBackend')],
    },
  ],
  [
    'backend missing: the first one stands in',
    {tables: tables({backends: new Map([[11, backend(POD_1)]])})},
    {
      hop: 'backend',
      state: 'missing',
      codes: ['endpoints EndpointLacking', 'backend BackendMissing'],
      ways: [`2 kmesh ${POD_1}:8080 works`],
    },
  ],
  [
    'backend that is not ready any more',
    {slices: [slice([POD_1], [POD_2])]},
    {hop: 'backend', state: 'differs', codes: ['backend BackendStale'], ways: BOTH},
  ],
  [
    'backend of an address that nobody has',
    {
      slices: [slice([POD_1])],
      tables: tables({
        backends: new Map([
          [11, backend(POD_1)],
          [12, backend('10.0.0.9')],
        ]),
      }),
    },
    {
      hop: 'backend',
      state: 'differs',
      codes: ['backend BackendStale', 'receives NobodyThere'],
      ways: [`1 kmesh ${POD_1}:8080 works`, '1 kmesh 10.0.0.9:8080 fails'],
    },
  ],
  [
    'backends of the other family',
    {
      tables: tables({
        backends: new Map([
          [11, backend('fd00::1')],
          [12, backend('fd00::2')],
        ]),
      }),
    },
    {
      hop: 'backend',
      state: 'differs',
      codes: ['endpoints EndpointLacking', 'backend BackendStale'],
      ways: leftAlone('OtherFamily', 2),
    },
  ],
  [
    'wrong target port',
    {tables: tables({service: service({ports: [{servicePort: 80, targetPort: 9}]})})},
    {
      hop: 'port',
      state: 'differs',
      codes: ['port TargetPortDiffers'],
      ways: [`1 kmesh ${POD_1}:9 unknown`, `1 kmesh ${POD_2}:9 unknown`],
    },
  ],
  [
    'port missing',
    {tables: tables({service: service({ports: []})})},
    {hop: 'port', state: 'missing', codes: ['port ServicePortMissing'], ways: leftAlone('PortUnknown', 2)},
  ],
  [
    'port that the service has no more',
    {service: {...cart, spec: {...cart.spec, ports: [{port: 81}]}}},
    {hop: 'port', state: 'differs', codes: ['port ServicePortStale'], ways: BOTH},
  ],
  [
    'port that nobody has',
    {destination: {address: VIP, port: 81}},
    {
      hop: 'port',
      state: 'ok',
      codes: ['port NoServicePort'],
      ways: [`2 kube-proxy ${VIP}:81 fails PortUnknown`],
    },
  ],
  [
    'waypoint of the service',
    {tables: tables({service: service({waypointAddress: '10.96.0.5', waypointPort: 15_008})})},
    {hop: 'waypoint', state: 'ok', codes: [], ways: ['1 waypoint 10.96.0.5:15008 unknown']},
  ],
  [
    'waypoint that is asked for and missing',
    {service: {...cart, metadata: {...cart.metadata, labels: {'istio.io/use-waypoint': 'w'}}}},
    {hop: 'waypoint', state: 'missing', codes: ['waypoint WaypointMissing'], ways: BOTH},
  ],
  [
    'no endpoint anywhere',
    {
      slices: [],
      tables: tables({
        service: service({endpointCount: [0, 0, 0, 0, 0, 0, 0]}),
        endpoints: new Map(),
        backends: new Map(),
      }),
    },
    {
      hop: 'receives',
      state: 'differs',
      codes: ['endpoints NoReadyEndpoints'],
      ways: [`1 kube-proxy ${VIP}:80 fails NoEndpoints`],
    },
  ],
  [
    'a pod by its address',
    {called: 'pod', tables: tables({upstreamId: 11, service: undefined, endpoints: new Map()})},
    {hop: 'backend', state: 'ok', codes: [], ways: [`1 kmesh ${POD_1}:8080 works`]},
  ],
  [
    'a pod whose backend has another address',
    {
      called: 'pod',
      tables: tables({
        upstreamId: 11,
        service: undefined,
        endpoints: new Map(),
        backends: new Map([[11, backend(POD_2)]]),
      }),
    },
    {
      hop: 'backend',
      state: 'differs',
      codes: ['backend BackendAddressDiffers'],
      ways: [`1 kmesh ${POD_2}:8080 works`],
    },
  ],
  [
    'a pod without frontend',
    {called: 'pod', tables: tables({upstreamId: undefined, service: undefined})},
    {
      hop: 'frontend',
      state: 'missing',
      codes: ['frontend FrontendMissing'],
      ways: [`1 direct ${POD_1}:8080 works NoFrontend`],
    },
  ],
  [
    'policies that may not be read, in front of Envoy',
    {servers: ENVOY, policies: undefined},
    {
      hop: 'receives',
      state: 'unknown',
      codes: [],
      ways: BOTH.map((way) => way.replace('works', 'unknown')),
    },
  ],
  [
    "a client's sidecar chooses",
    {
      client: checked('web-1', ENVOY),
      managed: {...CAPTURED, captured: false, intent: false},
      servers: KMESH,
    },
    {hop: 'receives', state: 'ok', codes: [], ways: [`1 sidecar ${VIP}:80 works`]},
  ],
]

describe('hops', () => {
  for (const [name, input, {hop, state, codes, ways}] of CASES) {
    test(name, () => {
      const item = pathWith(input)
      assert.equal(stateOf(item, hop), state)
      assert.deepEqual(codesOf(item), codes)
      assert.deepEqual(waysOf(item), ways)
    })
  }
})

describe('sentence', () => {
  test('of a path in order', () => {
    assert.equal(
      pathWith().sentence,
      'shop/web-1 connects to 10.96.0.10:80 -> one of 2 pods of shop/cart at port 8080, chosen by Kmesh on node n1; it works',
    )
  })
  test('of one where some endpoints fail', () => {
    const backends = new Map([
      [11, backend(POD_1)],
      [12, backend('10.0.0.9')],
    ])
    assert.equal(
      pathWith({slices: [slice([POD_1])], tables: tables({backends})}).sentence,
      'shop/web-1 connects to 10.96.0.10:80 -> 1 of 2: pod shop/cart-1 at port 8080, chosen by Kmesh on node n1; 1 of 2: 10.0.0.9:8080, chosen by Kmesh on node n1 (no running pod and no endpoint has the chosen address); it works for some of them only; found: BackendStale, NobodyThere',
    )
  })
})

describe('real connections against the ways', () => {
  const {ways} = pathWith()
  test('one that was predicted', () => {
    const trace = traceOf(ways, [{peer: POD_1, peerPort: 8080, pod: 'cart-1'}])
    assert.deepEqual([trace.agrees, trace.peers], [true, {[`${POD_1}:8080`]: 1}])
  })
  test('another peer, another pod, a failure, none at all', () => {
    assert.deepEqual(traceOf(ways, [{peer: POD_1, peerPort: 80, pod: 'cart-1'}]).surprises, [
      `peer ${POD_1}:80 was not predicted`,
    ])
    assert.deepEqual(traceOf(ways, [{peer: POD_1, peerPort: 8080, pod: 'cart-2'}]).surprises, [
      `pod cart-2 answered at ${POD_1}:8080, which was not predicted`,
    ])
    assert.deepEqual(traceOf(ways, [{error: 'refused'}]).surprises, ['failed, predicted to work: refused'])
    assert.equal(traceOf(ways, []).agrees, false)
  })
})
