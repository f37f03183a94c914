// SPDX-License-Identifier: Apache-2.0
/** Secrets, roles and bindings: what is filled in, and what is refused. */
import {isDeepStrictEqual} from 'node:util'
import {arrayOf, type Fields, fieldsOf, type StoredObject, textOf} from './object.ts'
import type {StatusCause} from './status.ts'

const RBAC_GROUP = 'rbac.authorization.k8s.io'
const SECRET_MAX_BYTES = 1 << 20

/** Keys that a type of secret must have. */
const SECRET_KEYS: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
}

function cause(reason: string, field: string, message: string): StatusCause {
  return {reason, message, field}
}

/** `stringData` goes into `data`; the type is `Opaque` unless it is given. */
export function withSecretDefaults(secret: StoredObject): StoredObject {
  const {stringData, ...rest} = secret
  const texts = Object.entries(fieldsOf(stringData)).map(([key, text]) => [
    key,
    Buffer.from(textOf(text)).toString('base64'),
  ])
  const data = {...fieldsOf(secret['data']), ...Object.fromEntries(texts)}
  return {
    ...rest,
    ...(Object.keys(data).length > 0 ? {data} : {}),
    type: secret['type'] ?? 'Opaque',
  } as StoredObject
}

export function checkSecret(
  causes: StatusCause[],
  secret: StoredObject,
  old: StoredObject | undefined,
): void {
  const data = fieldsOf(secret['data'])
  const type = textOf(secret['type'])
  let bytes = 0
  for (const [key, value] of Object.entries(data)) {
    const text = textOf(value)
    bytes += Math.floor((text.length * 3) / 4)
    if (!/^[-._a-zA-Z0-9]{1,253}$/.test(key)) {
      const why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
      causes.push(cause('FieldValueInvalid', `data[${key}]`, `Invalid value: ${JSON.stringify(key)}: ${why}`))
    }
  }
  if (bytes > SECRET_MAX_BYTES)
    causes.push(
      cause('FieldValueTooLong', 'data', `Too long: may not be more than ${SECRET_MAX_BYTES} bytes`),
    )
  for (const key of SECRET_KEYS[type] ?? []) {
    if (data[key] === undefined) causes.push(cause('FieldValueRequired', `data[${key}]`, 'Required value'))
  }
  if (old === undefined) return
  if (old['type'] !== type)
    causes.push(
      cause('FieldValueInvalid', 'type', `Invalid value: ${JSON.stringify(type)}: field is immutable`),
    )
  const isChanged = !isDeepStrictEqual(old['data'], secret['data']) || secret['immutable'] !== true
  if (old['immutable'] === true && isChanged)
    causes.push(cause('FieldValueForbidden', 'data', 'Forbidden: field is immutable when `immutable` is set'))
}

export function checkRole(causes: StatusCause[], role: StoredObject): void {
  for (const [index, rule] of arrayOf(role['rules']).entries()) {
    causes.push(...ruleFaults(fieldsOf(rule), `rules[${index}]`, role.kind === 'Role'))
  }
}

function ruleFaults(rule: Fields, field: string, isNamespaced: boolean): StatusCause[] {
  const isEmpty = (name: string): boolean => arrayOf(rule[name]).length === 0
  const missing = (name: string, why: string): StatusCause[] =>
    isEmpty(name) ? [cause('FieldValueRequired', `${field}.${name}`, `Required value: ${why}`)] : []
  const verbs = missing('verbs', 'verbs must contain at least one value')
  if (isEmpty('nonResourceURLs')) {
    return [
      ...verbs,
      ...missing('apiGroups', 'resource rules must supply at least one api group'),
      ...missing('resources', 'resource rules must supply at least one resource'),
    ]
  }
  if (!isNamespaced) return verbs
  const why = 'Invalid value: namespaced rules cannot apply to non-resource URLs'
  return [...verbs, cause('FieldValueInvalid', `${field}.nonResourceURLs`, why)]
}

/** Group of the role and of each subject where they are left out. */
export function withBindingDefaults(binding: StoredObject): StoredObject {
  const subjects = arrayOf(binding['subjects']).map((value): Fields => {
    const subject = fieldsOf(value)
    return subject['kind'] === 'ServiceAccount' ? subject : {apiGroup: RBAC_GROUP, ...subject}
  })
  return {
    ...binding,
    roleRef: {apiGroup: RBAC_GROUP, ...fieldsOf(binding['roleRef'])},
    ...(binding['subjects'] === undefined ? {} : {subjects}),
  }
}

export function checkRoleBinding(
  causes: StatusCause[],
  binding: StoredObject,
  old: StoredObject | undefined,
): void {
  const reference = fieldsOf(binding['roleRef'])
  const kinds = binding.kind === 'RoleBinding' ? ['ClusterRole', 'Role'] : ['ClusterRole']
  if (!kinds.includes(textOf(reference['kind']))) {
    const list = kinds.map((kind) => `"${kind}"`).join(', ')
    const message = `Unsupported value: ${JSON.stringify(reference['kind'] ?? '')}: supported values: ${list}`
    causes.push(cause('FieldValueNotSupported', 'roleRef.kind', message))
  }
  if (textOf(reference['name']) === '')
    causes.push(cause('FieldValueRequired', 'roleRef.name', 'Required value'))
  for (const [index, value] of arrayOf(binding['subjects']).entries()) {
    const subject = fieldsOf(value)
    const field = `subjects[${index}]`
    if (textOf(subject['name']) === '')
      causes.push(cause('FieldValueRequired', `${field}.name`, 'Required value'))
    if (subject['kind'] === 'ServiceAccount' && textOf(subject['namespace']) === '')
      causes.push(cause('FieldValueRequired', `${field}.namespace`, 'Required value'))
  }
  if (old !== undefined && !isDeepStrictEqual(old['roleRef'], reference))
    causes.push(cause('FieldValueInvalid', 'roleRef', 'Invalid value: cannot change roleRef'))
}
