// SPDX-License-Identifier: Apache-2.0
/** Names, labels and annotations: what Kubernetes refuses, with its words. */
import type {ResourceRow} from './resource-row.ts'
import type {StatusCause} from './status.ts'

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
export const LABEL_RULE: NameRule = {
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

/** Names of roles are path segments; only these may have colons. */
const SEGMENT_RULE: NameRule = {
  pattern: /^(?!\.{1,2}$)[^/%]+$/,
  maxLength: 253,
  message: "may not be '.' or '..', or contain '/' or '%'",
}

export function nameRule(row: ResourceRow): NameRule {
  if (row.group === 'rbac.authorization.k8s.io') return SEGMENT_RULE
  return (row.group === '' ? NAME_RULES[row.resource] : undefined) ?? SUBDOMAIN_RULE
}

export function invalidValue(field: string, value: unknown, why: string): StatusCause {
  return {reason: 'FieldValueInvalid', message: `Invalid value: ${JSON.stringify(value)}: ${why}`, field}
}

export function required(field: string, why = ''): StatusCause {
  return {reason: 'FieldValueRequired', message: `Required value${why ? `: ${why}` : ''}`, field}
}

export function checkName(causes: StatusCause[], rule: NameRule, name: string): void {
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

export function checkLabels(
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

export function checkAnnotations(
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
