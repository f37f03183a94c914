// SPDX-License-Identifier: Apache-2.0
/**
 * Writes field numbers and types from the struct tags of Kubernetes' Go sources: src/lib/sandbox/api/protobuf-fields.json
 * has the kinds that kubectl sends as protobuf, src/lib/adapters/kube-protobuf-fields.json what is read of long lists. Run it
 * with the folders of the Go modules k8s.io/api and k8s.io/apimachinery (`go mod download -json` names them).
 *
 * A field is `name type`. Types: `string`, `bytes`, `integer`, `boolean`, `quantity`, `intOrString`, `time`, `json`, or
 * the key of a message; behind it `[]` or `{}`; before it `*` where a zero is a value, `~` where its fields belong to the
 * parent.
 */
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

const [api = '', machinery = ''] = process.argv.slice(2)

const PACKAGES: Readonly<Record<string, string>> = {
  core: join(api, 'core/v1/types.go'),
  apps: join(api, 'apps/v1/types.go'),
  rbac: join(api, 'rbac/v1/types.go'),
  coordination: join(api, 'coordination/v1/types.go'),
  authentication: join(api, 'authentication/v1/types.go'),
  authorization: join(api, 'authorization/v1/types.go'),
  discovery: join(api, 'discovery/v1/types.go'),
  meta: join(machinery, 'pkg/apis/meta/v1/types.go'),
}
const ROOTS: Readonly<Record<string, readonly string[]>> = {
  core: ['Namespace', 'Pod', 'Service', 'ConfigMap', 'Secret', 'ServiceAccount', 'Binding', 'Event'],
  apps: ['Deployment', 'ReplicaSet'],
  rbac: ['Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding'],
  coordination: ['Lease'],
  authentication: ['TokenRequest', 'SelfSubjectReview', 'TokenReview'],
  authorization: [
    'SelfSubjectAccessReview',
    'SelfSubjectRulesReview',
    'SubjectAccessReview',
    'LocalSubjectAccessReview',
  ],
  discovery: ['EndpointSlice'],
  meta: ['DeleteOptions', 'ListMeta'],
}
const PLAIN: Readonly<Record<string, string>> = {
  string: 'string',
  bool: 'boolean',
  int: 'integer',
  int32: 'integer',
  int64: 'integer',
  '[]byte': 'bytes',
  'resource.Quantity': 'quantity',
  'intstr.IntOrString': 'intOrString',
  'meta.Time': 'time',
  'meta.MicroTime': 'time',
  'types.UID': 'string',
  'meta.FieldsV1': 'json',
}
/** Of lists that are read: a type that is not here is passed over, or read as JSON when somebody asks for it. */
const LIST_MESSAGES = [
  'meta.Status',
  'meta.ListMeta',
  'meta.ObjectMeta',
  'meta.OwnerReference',
  'meta.ManagedFieldsEntry',
  'core.Pod',
  'core.PodSpec',
  'core.PodStatus',
  'core.PodCondition',
  'core.PodIP',
  'core.Container',
  'core.ContainerPort',
  'core.ObjectReference',
  'core.Service',
  'core.ServiceSpec',
  'core.ServicePort',
  'discovery.EndpointSlice',
  'discovery.EndpointPort',
  'discovery.Endpoint',
  'discovery.EndpointConditions',
]

const structs = new Map<string, string>()
const aliases = new Map<string, string>()
for (const [name, file] of Object.entries(PACKAGES)) {
  const text = readFileSync(file, 'utf8')
  for (const found of text.matchAll(/^type (\w+) struct \{\n([\s\S]*?)^\}/gm))
    structs.set(`${name}.${found[1]}`, found[2] ?? '')
  for (const found of text.matchAll(/^type (\w+) ([^\s{]+)$/gm))
    aliases.set(`${name}.${found[1]}`, qualified(name, found[2] ?? ''))
}

/** A type as all packages name it: `v1.Pod` and `Pod` of core are `core.Pod`. */
function qualified(name: string, type: string): string {
  const list = /^(\[\]|map\[[\w.]+\]|\*)(.+)$/.exec(type)
  if (list !== null && type !== '[]byte') return `${list[1]}${qualified(name, list[2] ?? '')}`
  if (type in PLAIN || type.startsWith('types.')) return type
  const [prefix = '', inner] = type.split('.')
  if (inner === undefined) return `${name}.${type}`
  return `${{metav1: 'meta', v1: 'core'}[prefix] ?? prefix}.${inner}`
}

function shortType(type: string, waiting: string[]): string {
  if (type.startsWith('*')) return `*${shortType(type.slice(1), waiting)}`
  if (PLAIN[type] !== undefined) return PLAIN[type]
  if (type.startsWith('[]')) return `${shortType(type.slice(2), waiting)}[]`
  const map = /^map\[[\w.]+\](.+)$/.exec(type)
  if (map !== null) return `${shortType(map[1] ?? '', waiting)}{}`
  const alias = aliases.get(type)
  if (alias !== undefined) return shortType(alias, waiting)
  if (!structs.has(type)) throw new Error(`no type ${type}`)
  waiting.push(type)
  return type
}

const FIELD = /^\t(?:(\w+) )? *(\S+) +`json:"([^"]*)" (?:\w+:"[^"]*" )*protobuf:"\w+,(\d+),[^"]*"/gm

function fieldsOf(key: string, waiting: string[]): Record<string, string> {
  const [name = ''] = key.split('.')
  const fields: Record<string, string> = {}
  for (const [, , type = '', json = '', number = ''] of (structs.get(key) ?? '').matchAll(FIELD)) {
    const [field = '', ...options] = json.split(',')
    const short = shortType(qualified(name, type), waiting)
    fields[number] = options.includes('inline') ? `- ~${short}` : `${field} ${short}`
  }
  return fields
}

const kinds = Object.fromEntries(
  Object.entries(ROOTS).flatMap(([name, list]) => list.map((kind) => [kind, `${name}.${kind}`])),
)
const messages: Record<string, Record<string, string>> = {}
const waiting = Object.values(kinds)
for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
  messages[next] ??= fieldsOf(next, waiting)
}
const sorted = Object.fromEntries(Object.entries(messages).sort(([left], [right]) => (left < right ? -1 : 1)))
const lists = Object.fromEntries(LIST_MESSAGES.map((key) => [key, fieldsOf(key, [])]))
write('sandbox/api/protobuf-fields.json', {kinds, messages: sorted})
write('adapters/kube-protobuf-fields.json', {messages: lists})

function write(file: string, table: object): void {
  writeFileSync(join(import.meta.dirname, '../src/lib', file), `${JSON.stringify(table, null, 2)}\n`)
}
