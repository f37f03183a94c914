// SPDX-License-Identifier: Apache-2.0
/** Istio's PeerAuthentication and DestinationRule as an API server needs them: names, versions, columns, the checks that matter. */
import type {KubeObject} from '../../model/kube.ts'
import {ROOT_NAMESPACE} from './policy-objects.ts'

export const PEER_AUTHENTICATIONS = {group: 'security.istio.io', resource: 'peerauthentications'} as const
export const DESTINATION_RULES = {group: 'networking.istio.io', resource: 'destinationrules'} as const

type Manifest = KubeObject & Readonly<Record<string, unknown>>

const STRINGS = {type: 'object', additionalProperties: {type: 'string'}} as const
const UNKNOWN = {type: 'object', 'x-kubernetes-preserve-unknown-fields': true} as const
const MTLS = {
  type: 'object',
  properties: {mode: {type: 'string', enum: ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT']}},
} as const
const TLS = {
  ...UNKNOWN,
  properties: {
    mode: {type: 'string', enum: ['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL']},
    sni: {type: 'string'},
    insecureSkipVerify: {type: 'boolean', nullable: true},
  },
} as const
const PORT = {type: 'object', properties: {number: {type: 'integer', minimum: 0, maximum: 65_535}}} as const
const TRAFFIC_POLICY = {
  ...UNKNOWN,
  properties: {
    tls: TLS,
    portLevelSettings: {type: 'array', items: {...UNKNOWN, properties: {port: PORT, tls: TLS}}},
  },
} as const

const PEER_SPEC = {
  type: 'object',
  properties: {
    selector: {type: 'object', properties: {matchLabels: STRINGS}},
    mtls: {...MTLS, nullable: true},
    portLevelMtls: {type: 'object', additionalProperties: MTLS},
  },
} as const

const DESTINATION_SPEC = {
  type: 'object',
  required: ['host'],
  properties: {
    host: {type: 'string'},
    exportTo: {type: 'array', items: {type: 'string'}},
    trafficPolicy: TRAFFIC_POLICY,
    subsets: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name'],
        properties: {name: {type: 'string'}, labels: STRINGS, trafficPolicy: TRAFFIC_POLICY},
      },
    },
    workloadSelector: {type: 'object', properties: {matchLabels: STRINGS}},
  },
} as const

/** The two definitions and the root namespace. */
export function istioObjects(): readonly Manifest[] {
  return [
    {apiVersion: 'v1', kind: 'Namespace', metadata: {name: ROOT_NAMESPACE}},
    definition(
      {
        ...PEER_AUTHENTICATIONS,
        kind: 'PeerAuthentication',
        singular: 'peerauthentication',
        shortNames: ['pa'],
      },
      PEER_SPEC,
      [{name: 'Mode', type: 'string', jsonPath: '.spec.mtls.mode'}],
    ),
    definition(
      {...DESTINATION_RULES, kind: 'DestinationRule', singular: 'destinationrule', shortNames: ['dr']},
      DESTINATION_SPEC,
      [{name: 'Host', type: 'string', jsonPath: '.spec.host'}],
    ),
  ]
}

interface Names {
  readonly group: string
  readonly resource: string
  readonly kind: string
  readonly singular: string
  readonly shortNames: readonly string[]
}

function definition({group, resource, ...names}: Names, spec: object, columns: readonly object[]): Manifest {
  const version = (name: string) => ({
    name,
    served: true,
    storage: name === 'v1',
    subresources: {status: {}},
    additionalPrinterColumns: [
      ...columns,
      {name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp'},
    ],
    schema: {openAPIV3Schema: {type: 'object', properties: {spec, status: UNKNOWN}}},
  })
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {name: `${resource}.${group}`, labels: {app: 'istio-pilot'}},
    spec: {
      group,
      scope: 'Namespaced',
      names: {...names, plural: resource, listKind: `${names.kind}List`},
      versions: ['v1', 'v1beta1'].map(version),
    },
  }
}
