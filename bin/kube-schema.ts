// SPDX-License-Identifier: Apache-2.0
/**
 * Writes src/lib/sandbox/api/schema.json: field names and types of the kinds that the sandbox's API serves, from the
 * generated models of @kubernetes/client-node. Run it after an update of that package; a test compares.
 */
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import * as client from '@kubernetes/client-node'

/** Kind -> model class. */
const ROOTS: Readonly<Record<string, string>> = {
  Namespace: 'V1Namespace',
  Node: 'V1Node',
  Pod: 'V1Pod',
  Service: 'V1Service',
  ConfigMap: 'V1ConfigMap',
  Event: 'CoreV1Event',
  DaemonSet: 'V1DaemonSet',
  Deployment: 'V1Deployment',
  ReplicaSet: 'V1ReplicaSet',
  EndpointSlice: 'V1EndpointSlice',
  Secret: 'V1Secret',
  ServiceAccount: 'V1ServiceAccount',
  Lease: 'V1Lease',
  Role: 'V1Role',
  RoleBinding: 'V1RoleBinding',
  ClusterRole: 'V1ClusterRole',
  ClusterRoleBinding: 'V1ClusterRoleBinding',
  CustomResourceDefinition: 'V1CustomResourceDefinition',
  TokenRequest: 'AuthenticationV1TokenRequest',
  SelfSubjectAccessReview: 'V1SelfSubjectAccessReview',
  SelfSubjectRulesReview: 'V1SelfSubjectRulesReview',
  SubjectAccessReview: 'V1SubjectAccessReview',
  LocalSubjectAccessReview: 'V1LocalSubjectAccessReview',
  SelfSubjectReview: 'V1SelfSubjectReview',
  TokenReview: 'V1TokenReview',
}

interface Attribute {
  readonly baseName: string
  readonly type: string
  readonly format: string
}

type Schema = Record<string, Record<string, string>>

function attributesOf(name: string): readonly Attribute[] | undefined {
  const model = (client as unknown as Record<string, {attributeTypeMap?: readonly Attribute[]} | undefined>)[
    name
  ]
  return model?.attributeTypeMap
}

/** `string`, `base64`, `integer`, `number`, `boolean`, `any`, `intOrString`, a class, or one of these with `[]` or `{}` behind. */
function shortType(attribute: Attribute): string {
  const list = /^Array<(.+)>$/.exec(attribute.type)
  if (list !== null) return `${plainType(list[1] ?? '', attribute.format)}[]`
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(attribute.type)
  if (map !== null) return `${plainType(map[1] ?? '', attribute.format)}{}`
  return plainType(attribute.type, attribute.format)
}

function plainType(type: string, format: string): string {
  if (format === 'quantity') return 'quantity'
  if (type === 'number') return format.startsWith('int') ? 'integer' : 'number'
  if (type === 'string' && format === 'byte') return 'base64'
  if (type === 'Date' || type === 'V1MicroTime') return 'string'
  if (type === 'IntOrString') return 'intOrString'
  return type === 'string' || type === 'boolean' || attributesOf(type) !== undefined ? type : 'any'
}

/** Quantities are plain strings in some models, but Kubernetes takes numbers for them too. */
const QUANTITIES = ['limits', 'requests', 'capacity', 'allocatable', 'overhead']

export function kubeSchema(): Schema {
  const schema: Schema = {}
  const waiting = Object.entries(ROOTS)
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [name, model] = next
    if (schema[name] !== undefined) continue
    const fields: Record<string, string> = {}
    for (const attribute of attributesOf(model) ?? []) {
      const type = shortType(attribute)
      fields[attribute.baseName] =
        QUANTITIES.includes(attribute.baseName) && type === 'string{}' ? 'quantity{}' : type
      const inner = type.replace(/\[\]$|\{\}$/, '')
      if (attributesOf(inner) !== undefined) waiting.push([inner, inner])
    }
    schema[name] = fields
  }
  return Object.fromEntries(Object.entries(schema).sort(([left], [right]) => (left < right ? -1 : 1)))
}

if (import.meta.main) {
  const file = join(import.meta.dirname, '../src/lib/sandbox/api/schema.json')
  writeFileSync(file, `${JSON.stringify(kubeSchema(), null, 2)}\n`)
}
