// SPDX-License-Identifier: Apache-2.0
/** Refuses what Kubernetes refuses, with its words; covers names, labels and the fields that the sandbox reads. */
import {isDeepStrictEqual} from 'node:util'
import {checkRole, checkRoleBinding, checkSecret} from './access-objects.ts'
import {checkDefinition} from './custom-definition.ts'
import {arrayOf, type Fields, fieldsOf, type StoredObject} from './object.ts'
import type {ResourceRow} from './resource-row.ts'
import {invalid, type StatusCause} from './status.ts'
import {
  checkAnnotations,
  checkLabels,
  checkName,
  invalidValue,
  LABEL_RULE,
  nameRule,
  required,
} from './validate-names.ts'

/**
 * Checks an object that is about to be stored.
 * @param old what is stored now, undefined on create
 * @throws StatusError 422 with every fault that was found
 */
export function validate(row: ResourceRow, object: StoredObject, old: StoredObject | undefined): void {
  const causes: StatusCause[] = []
  if (old === undefined) checkName(causes, nameRule(row), object.metadata.name)
  checkLabels(causes, 'metadata.labels', object.metadata.labels)
  checkAnnotations(causes, object.metadata.annotations)
  if (row.custom === undefined) CHECKS[row.resource]?.(causes, object, old)
  if (causes.length > 0) throw invalid(row, object.metadata.name, causes)
}

type Check = (causes: StatusCause[], object: StoredObject, old: StoredObject | undefined) => void

const CHECKS: Readonly<Record<string, Check>> = {
  pods: checkPod,
  services: checkService,
  deployments: checkTemplateOwner,
  replicasets: checkTemplateOwner,
  daemonsets: checkDaemonSet,
  endpointslices: checkEndpointSlice,
  customresourcedefinitions: checkDefinition,
  secrets: checkSecret,
  roles: checkRole,
  clusterroles: checkRole,
  rolebindings: checkRoleBinding,
  clusterrolebindings: checkRoleBinding,
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
  const replicas = fieldsOf(object.spec)['replicas']
  if (!Number.isInteger(replicas) || Number(replicas) < 0) {
    causes.push(invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0'))
  }
  checkTemplate(causes, object, old)
}

function checkDaemonSet(causes: StatusCause[], object: StoredObject, old: StoredObject | undefined): void {
  const strategy = fieldsOf(fieldsOf(object.spec)['updateStrategy'])
  const {maxSurge, maxUnavailable} = fieldsOf(strategy['rollingUpdate'])
  if (isSome(maxSurge)) {
    const message = 'maxSurge is not part of the sandbox (see --control-plane)'
    causes.push(invalidValue('spec.updateStrategy.rollingUpdate.maxSurge', maxSurge, message))
  } else if (strategy['type'] === 'RollingUpdate' && !isSome(maxUnavailable)) {
    const message = 'cannot be 0 when `maxSurge` is 0'
    causes.push(invalidValue('spec.updateStrategy.rollingUpdate.maxUnavailable', maxUnavailable, message))
  }
  checkTemplate(causes, object, old)
}

function isSome(share: unknown): boolean {
  return share !== undefined && share !== 0 && share !== '0%'
}

function checkTemplate(causes: StatusCause[], object: StoredObject, old: StoredObject | undefined): void {
  const spec = fieldsOf(object.spec)
  const template = fieldsOf(spec['template'])
  const matchLabels = fieldsOf(fieldsOf(spec['selector'])['matchLabels'])
  const expressions = arrayOf(fieldsOf(spec['selector'])['matchExpressions'])
  const labels = fieldsOf(fieldsOf(template['metadata'])['labels'])
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
