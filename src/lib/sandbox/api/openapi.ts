// SPDX-License-Identifier: Apache-2.0
/**
 * The part of OpenAPI v3 by which kubectl learns that the server itself checks fields and knows dry runs: operations and
 * their parameters. Schemas are left out; `kubectl explain` has nothing to show.
 */
import {groupVersion, type ResourceRow} from './resource-row.ts'

const ROOT = '/openapi/v3'
const PARAMETERS = ['dryRun', 'fieldManager', 'fieldValidation', 'force']

/** The index, or the document of one group and version; undefined for other paths. */
export function openApiDocument(
  all: readonly ResourceRow[],
  path: string,
  gitVersion: string,
): object | undefined {
  const versions = [...new Set(all.map(apiPath))]
  if (path === ROOT) {
    const entries = versions.map((version) => [version, {serverRelativeURL: `${ROOT}/${version}`}])
    return {paths: Object.fromEntries(entries)}
  }
  const version = versions.find((candidate) => path === `${ROOT}/${candidate}`)
  if (version === undefined) return undefined
  const rows = all.filter((row) => apiPath(row) === version)
  return {
    openapi: '3.0.0',
    info: {title: 'Kubernetes', version: gitVersion},
    paths: Object.fromEntries(rows.map((row) => [`/${objectPath(row)}`, {patch: operation(row)}])),
    components: {schemas: {}},
  }
}

function apiPath(row: ResourceRow): string {
  return row.group === '' ? `api/${row.version}` : `apis/${groupVersion(row)}`
}

function objectPath(row: ResourceRow): string {
  return `${apiPath(row)}/${row.namespaced ? 'namespaces/{namespace}/' : ''}${row.resource}/{name}`
}

function operation({group, version, kind}: ResourceRow): object {
  return {
    operationId: `patch${kind}`,
    parameters: PARAMETERS.map((name) => ({name, in: 'query', schema: {type: 'string', uniqueItems: true}})),
    responses: {200: {description: 'OK'}},
    'x-kubernetes-action': 'patch',
    'x-kubernetes-group-version-kind': {group, version, kind},
  }
}
