// SPDX-License-Identifier: Apache-2.0
/** CustomResourceDefinitions: what is filled in, what is refused, and the rows that they stand for. */
import {compiled} from './custom-validate.ts'
import {arrayOf, type Fields, fieldsOf, isFields, type StoredObject, textOf} from './object.ts'
import {BASE, type ResourceRow} from './resource-row.ts'
import type {StatusCause} from './status.ts'

/** Holds a definition until its objects are gone. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io'
const APPROVAL = 'api-approved.kubernetes.io'

function versionsOf(object: StoredObject): Fields[] {
  return arrayOf(fieldsOf(object.spec)['versions']).map(fieldsOf)
}

function textsOf(value: unknown): string[] {
  return arrayOf(value).filter((item) => typeof item === 'string')
}

/** The definition with its defaults and the status that its controllers would write. */
export function withDefinitionDefaults(object: StoredObject): StoredObject {
  const spec = fieldsOf(object.spec)
  const given = fieldsOf(spec['names'])
  const kind = textOf(given['kind'])
  const names = {singular: kind.toLowerCase(), listKind: `${kind}List`, ...given}
  const {finalizers = [], deletionTimestamp, creationTimestamp} = object.metadata
  const isHeld = finalizers.includes(CLEANUP_FINALIZER) || deletionTimestamp !== undefined
  return {
    ...object,
    metadata: {...object.metadata, finalizers: isHeld ? finalizers : [...finalizers, CLEANUP_FINALIZER]},
    spec: {conversion: {strategy: 'None'}, ...spec, names},
    status: {
      conditions: [
        accepted('NamesAccepted', 'NoConflicts', 'no conflicts found', creationTimestamp),
        accepted(
          'Established',
          'InitialNamesAccepted',
          'the initial names have been accepted',
          creationTimestamp,
        ),
      ],
      ...object.status,
      acceptedNames: names,
      storedVersions: storedVersions(object),
    },
  }
}

function accepted(type: string, reason: string, message: string, lastTransitionTime: string): Fields {
  return {type, status: 'True', reason, message, lastTransitionTime}
}

function storedVersions(object: StoredObject): string[] {
  const storage = versionsOf(object).filter((version) => version['storage'] === true)
  return [
    ...new Set([...textsOf(object.status?.['storedVersions']), ...storage.map(({name}) => textOf(name))]),
  ]
}

/** Adds what is wrong with a definition to `causes`. */
export function checkDefinition(causes: StatusCause[], object: StoredObject): void {
  const spec = fieldsOf(object.spec)
  const names = fieldsOf(spec['names'])
  const group = textOf(spec['group'])
  const add = (field: string, message: string): void =>
    void causes.push({reason: 'FieldValueInvalid', message: `Invalid value: ${message}`, field})
  for (const field of ['plural', 'kind']) {
    if (textOf(names[field]) === '')
      causes.push({reason: 'FieldValueRequired', message: 'Required value', field: `spec.names.${field}`})
  }
  const name = `${textOf(names['plural'])}.${group}`
  if (object.metadata.name !== name)
    add('metadata.name', `"${object.metadata.name}": must be spec.names.plural+"."+spec.group`)
  if (!group.includes('.')) add('spec.group', `"${group}": should be a domain with at least one dot`)
  if (/\.(k8s|kubernetes)\.io$/.test(`.${group}`) && !object.metadata.annotations?.[APPROVAL]) {
    const message = `Required value: protected groups must have approval annotation "${APPROVAL}"`
    causes.push({reason: 'FieldValueRequired', message, field: `metadata.annotations[${APPROVAL}]`})
  }
  if (!['Namespaced', 'Cluster'].includes(textOf(spec['scope']))) {
    const message = `Unsupported value: "${textOf(spec['scope'])}": supported values: "Cluster", "Namespaced"`
    causes.push({reason: 'FieldValueNotSupported', message, field: 'spec.scope'})
  }
  const strategy = fieldsOf(spec['conversion'])['strategy']
  if (strategy !== 'None')
    add(
      'spec.conversion.strategy',
      `${JSON.stringify(strategy)}: only None is part of the sandbox (see --control-plane)`,
    )
  checkVersions(versionsOf(object), add)
}

function checkVersions(versions: readonly Fields[], add: (field: string, message: string) => void): void {
  if (versions.filter((version) => version['storage'] === true).length !== 1)
    add('spec.versions', 'must have exactly one version marked as storage version')
  for (const [index, version] of versions.entries()) {
    const schema = fieldsOf(version['schema'])['openAPIV3Schema']
    const field = `spec.versions[${index}].schema.openAPIV3Schema`
    if (!isFields(schema)) add(field, 'null: schemas are required')
    else if (schema['type'] !== 'object')
      add(`${field}.type`, `"${textOf(schema['type'])}": must be object at the root`)
  }
}

/** One row for each served version. */
export function rowsOf(object: StoredObject): ResourceRow[] {
  const spec = fieldsOf(object.spec)
  const names = fieldsOf(spec['names'])
  return versionsOf(object)
    .filter((version) => version['served'] === true)
    .map((version) => {
      const hasStatus = isFields(fieldsOf(version['subresources'])['status'])
      return {
        ...BASE,
        group: textOf(spec['group']),
        version: textOf(version['name']),
        resource: textOf(names['plural']),
        kind: textOf(names['kind']),
        singular: textOf(names['singular']),
        shortNames: textsOf(names['shortNames']),
        categories: textsOf(names['categories']),
        namespaced: spec['scope'] === 'Namespaced',
        subresources: hasStatus ? ['status'] : [],
        statusReset: hasStatus,
        generation: true,
        selectableFields: arrayOf(version['selectableFields']).map((field) =>
          textOf(fieldsOf(field)['jsonPath']).replace(/^\./, ''),
        ),
        custom: {
          definition: object.metadata.name,
          schema: fieldsOf(fieldsOf(version['schema'])['openAPIV3Schema']),
          columns: arrayOf(version['additionalPrinterColumns']).map(fieldsOf),
        },
      }
    })
}

/** What a definition asks for and the sandbox does not do, for a Warning header. */
export function definitionWarnings(object: StoredObject): string[] {
  const found = {rules: false, patterns: new Set<string>()}
  for (const version of versionsOf(object)) search(version['schema'], found)
  const scale = versionsOf(object).some((version) => isFields(fieldsOf(version['subresources'])['scale']))
  const {name} = object.metadata
  return [
    ...(found.rules
      ? [`${name}: x-kubernetes-validations are not checked by the sandbox (see --control-plane)`]
      : []),
    ...(scale ? [`${name}: the subresource scale is not served by the sandbox (see --control-plane)`] : []),
    ...[...found.patterns].map((pattern) => `${name}: the pattern ${pattern} is not checked by the sandbox`),
  ]
}

function search(value: unknown, found: {rules: boolean; patterns: Set<string>}): void {
  if (Array.isArray(value)) for (const item of value) search(item, found)
  if (!isFields(value)) return
  if (Array.isArray(value['x-kubernetes-validations'])) found.rules = true
  const {pattern} = value
  if (typeof pattern === 'string' && compiled(pattern) === undefined) found.patterns.add(pattern)
  for (const inner of Object.values(value)) search(inner, found)
}
