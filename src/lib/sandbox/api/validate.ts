// SPDX-License-Identifier: Apache-2.0
/** Refuses what Kubernetes refuses, with its words; covers names, labels and the fields that the sandbox reads. */
import {isDeepStrictEqual} from 'node:util'
import {arrayOf, type Fields, fieldsOf, type StoredObject} from './object.ts'
import type {ResourceRow} from './resources.ts'
import {invalid, type StatusCause} from './status.ts'

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const SERVICE_NAME = '[a-z]([-a-z0-9]*[a-z0-9])?'

interface NameRule {
  readonly pattern: RegExp
  readonly maxLength: number
  readonly message: string
}

const SUBDOMAIN_RULE: NameRule = {
  pattern: new RegExp(`^${SUBDOMAIN}$`),
  maxLength: 253,
  message: `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '${SUBDOMAIN}')`,
}
const LABEL_RULE: NameRule = {
  pattern: new RegExp(`^${LABEL}$`),
  maxLength: 63,
  message: `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '${LABEL}')`,
}
const SERVICE_RULE: NameRule = {
  pattern: new RegExp(`^${SERVICE_NAME}$`),
  maxLength: 63,
  message: `a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '${SERVICE_NAME}')`,
}
const NAME_RULES: Readonly<Record<string, NameRule>> = {namespaces: LABEL_RULE, services: SERVICE_RULE}

/**
 * Checks an object that is about to be stored.
 * @param old what is stored now, undefined on create
 * @throws StatusError 422 with every fault that was found
 */
export function validate(row: ResourceRow, object: StoredObject, old: StoredObject | undefined): void {
  const causes: StatusCause[] = []
  if (old === undefined) checkName(causes, NAME_RULES[row.resource] ?? SUBDOMAIN_RULE, object.metadata.name)
  checkLabels(causes, 'metadata.labels', object.metadata.labels)
  checkAnnotations(causes, object.metadata.annotations)
  CHECKS[row.resource]?.(causes, object, old)
  if (causes.length > 0) throw invalid(row, object.metadata.name, causes)
}

export function invalidValue(field: string, value: unknown, why: string): StatusCause {
  return {reason: 'FieldValueInvalid', message: `Invalid value: ${JSON.stringify(value)}: ${why}`, field}
}

function required(field: string, why = ''): StatusCause {
  return {reason: 'FieldValueRequired', message: `Required value${why ? `: ${why}` : ''}`, field}
}

function checkName(causes: StatusCause[], rule: NameRule, name: string): void {
  if (name === '') {
    causes.push(required('metadata.name', 'name or generateName is required'))
    return
  }
  if (name.length > rule.maxLength) {
    causes.push(invalidValue('metadata.name', name, `must be no more than ${rule.maxLength} characters`))
  }
  if (!rule.pattern.test(name)) causes.push(invalidValue('metadata.name', name, rule.message))
}

const KEY_MESSAGE = `name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '${QUALIFIED}')`
const VALUE_MESSAGE = `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(${QUALIFIED})?')`

function checkKey(causes: StatusCause[], field: string, key: string): void {
  const parts = key.split('/')
  const name = parts.at(-1) ?? ''
  if (parts.length > 2 || !new RegExp(`^${QUALIFIED}$`).test(name) || name.length > 63) {
    causes.push(invalidValue(field, key, KEY_MESSAGE))
  }
  if (parts.length === 2 && !SUBDOMAIN_RULE.pattern.test(parts[0] ?? '')) {
    causes.push(invalidValue(field, key, `prefix part ${SUBDOMAIN_RULE.message}`))
  }
}

function checkLabels(
  causes: StatusCause[],
  field: string,
  labels: Readonly<Record<string, string>> | undefined,
): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    checkKey(causes, field, key)
    if (value.length > 63) causes.push(invalidValue(field, value, 'must be no more than 63 characters'))
    if (value !== '' && !new RegExp(`^${QUALIFIED}$`).test(value)) {
      causes.push(invalidValue(field, value, VALUE_MESSAGE))
    }
  }
}

const ANNOTATIONS_MAX_BYTES = 256 * 1024

function checkAnnotations(
  causes: StatusCause[],
  annotations: Readonly<Record<string, string>> | undefined,
): void {
  let bytes = 0
  for (const [key, value] of Object.entries(annotations ?? {})) {
    checkKey(causes, 'metadata.annotations', key.toLowerCase())
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (bytes > ANNOTATIONS_MAX_BYTES) {
    causes.push({
      reason: 'FieldValueTooLong',
      message: `Too long: may not be more than ${ANNOTATIONS_MAX_BYTES} bytes`,
      field: 'metadata.annotations',
    })
  }
}

type Check = (causes: StatusCause[], object: StoredObject, old: StoredObject | undefined) => void

const CHECKS: Readonly<Record<string, Check>> = {
  pods: checkPod,
  services: checkService,
  deployments: checkTemplateOwner,
  replicasets: checkTemplateOwner,
  endpointslices: checkEndpointSlice,
}

function checkContainers(causes: StatusCause[], field: string, spec: Fields): void {
  const containers = arrayOf(spec['containers'])
  if (containers.length === 0) causes.push(required(`${field}.containers`))
  containers.forEach((value, index) => {
    const name = fieldsOf(value)['name']
    if (typeof name !== 'string' || name === '') causes.push(required(`${field}.containers[${index}].name`))
    else if (!LABEL_RULE.pattern.test(name)) {
      causes.push(invalidValue(`${field}.containers[${index}].name`, name, LABEL_RULE.message))
    }
  })
}

/** Fields of a pod's spec that may change after create (with the image of a container). */
const POD_MUTABLE = ['activeDeadlineSeconds', 'tolerations', 'terminationGracePeriodSeconds']

function checkPod(causes: StatusCause[], object: StoredObject, old: StoredObject | undefined): void {
  checkContainers(causes, 'spec', fieldsOf(object.spec))
  if (old === undefined) return
  if (isDeepStrictEqual(frozenPodSpec(object), frozenPodSpec(old))) return
  causes.push({
    reason: 'FieldValueForbidden',
    message:
      'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
    field: 'spec',
  })
}

function frozenPodSpec(pod: StoredObject): Fields {
  const withoutImage = (value: unknown): Fields => ({...fieldsOf(value), image: ''})
  const spec = Object.fromEntries(
    Object.entries(fieldsOf(pod.spec)).filter(([key]) => !POD_MUTABLE.includes(key)),
  )
  return {
    ...spec,
    containers: arrayOf(spec['containers']).map(withoutImage),
    initContainers: arrayOf(spec['initContainers']).map(withoutImage),
  }
}

const SERVICE_TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']

function checkService(causes: StatusCause[], object: StoredObject): void {
  const spec = fieldsOf(object.spec)
  const type = String(spec['type'])
  if (!SERVICE_TYPES.includes(type)) {
    const values = SERVICE_TYPES.map((value) => `"${value}"`).join(', ')
    const message = `Unsupported value: ${JSON.stringify(type)}: supported values: ${values}`
    causes.push({reason: 'FieldValueNotSupported', message, field: 'spec.type'})
  }
  const ports = arrayOf(spec['ports'])
  if (ports.length === 0 && type !== 'ExternalName' && spec['clusterIP'] !== 'None')
    causes.push(required('spec.ports'))
  const seen = new Set<string>()
  ports.forEach((value, index) => {
    const port = fieldsOf(value)
    const field = `spec.ports[${index}]`
    checkPort(causes, `${field}.port`, port['port'])
    if (typeof port['targetPort'] === 'number') checkPort(causes, `${field}.targetPort`, port['targetPort'])
    if (ports.length > 1 && !port['name']) causes.push(required(`${field}.name`))
    const key = `${String(port['protocol'])}/${String(port['port'])}`
    if (seen.has(key)) {
      causes.push({reason: 'FieldValueDuplicate', message: `Duplicate value: ${JSON.stringify(port)}`, field})
    }
    seen.add(key)
  })
}

function checkPort(causes: StatusCause[], field: string, value: unknown): void {
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65535) return
  causes.push(invalidValue(field, value ?? 0, 'must be between 1 and 65535, inclusive'))
}

function checkTemplateOwner(
  causes: StatusCause[],
  object: StoredObject,
  old: StoredObject | undefined,
): void {
  const spec = fieldsOf(object.spec)
  const template = fieldsOf(spec['template'])
  const matchLabels = fieldsOf(fieldsOf(spec['selector'])['matchLabels'])
  const expressions = arrayOf(fieldsOf(spec['selector'])['matchExpressions'])
  const labels = fieldsOf(fieldsOf(template['metadata'])['labels'])
  const replicas = spec['replicas']
  if (!Number.isInteger(replicas) || Number(replicas) < 0) {
    causes.push(invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0'))
  }
  if (expressions.length > 0) {
    const message = 'matchExpressions are not part of the sandbox (see --control-plane)'
    causes.push(invalidValue('spec.selector.matchExpressions', expressions, message))
  }
  if (Object.keys(matchLabels).length === 0 && expressions.length === 0)
    causes.push(required('spec.selector'))
  if (!Object.entries(matchLabels).every(([key, value]) => labels[key] === value)) {
    const why = '`selector` does not match template `labels`'
    causes.push(invalidValue('spec.template.metadata.labels', labels, why))
  }
  checkContainers(causes, 'spec.template.spec', fieldsOf(template['spec']))
  const before = old === undefined ? spec['selector'] : fieldsOf(old.spec)['selector']
  if (!isDeepStrictEqual(before, spec['selector'])) {
    causes.push(invalidValue('spec.selector', spec['selector'], 'field is immutable'))
  }
}

const ADDRESS_TYPES = ['IPv4', 'IPv6', 'FQDN']

function checkEndpointSlice(
  causes: StatusCause[],
  object: StoredObject,
  old: StoredObject | undefined,
): void {
  const type = object['addressType']
  if (!ADDRESS_TYPES.includes(String(type))) causes.push(required('addressType'))
  if (old !== undefined && old['addressType'] !== type) {
    causes.push(invalidValue('addressType', type, 'field is immutable'))
  }
}
