// SPDX-License-Identifier: Apache-2.0
/** What kubectl asks before it asks for anything: versions, groups, resources. */
import {openApiDocument} from './openapi.ts'
import {groupVersion, RESOURCE_ROWS, type ResourceRow} from './resources.ts'

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

interface SubresourceForm {
  readonly verbs: readonly string[]
  readonly kind?: string
  readonly group?: string
  readonly version?: string
}

/** How subresources are announced where they differ from the object itself. */
const SUBRESOURCES: Readonly<Record<string, SubresourceForm>> = {
  binding: {verbs: ['create'], kind: 'Binding'},
  finalize: {verbs: ['update']},
  log: {verbs: ['get']},
  portforward: {verbs: ['create', 'get'], kind: 'PodPortForwardOptions'},
  scale: {verbs: ['get', 'patch', 'update'], kind: 'Scale', group: 'autoscaling', version: 'v1'},
  status: {verbs: ['get', 'patch', 'update']},
}

const HEALTH_PATHS = ['/healthz', '/livez', '/readyz', '/ping']

export interface FixedAnswer {
  readonly contentType: string
  readonly body: string
}

/** The answer to a GET of a path that names no object; undefined where there is none. */
export function fixedAnswer(path: string, gitVersion: string): FixedAnswer | undefined {
  const trimmed = path.length > 1 ? path.replace(/\/+$/, '') : path
  if (HEALTH_PATHS.includes(trimmed)) return {contentType: 'text/plain; charset=utf-8', body: 'ok'}
  const document = discoveryDocument(trimmed, gitVersion) ?? openApiDocument(trimmed, gitVersion)
  return document && {contentType: 'application/json', body: `${JSON.stringify(document)}\n`}
}

function discoveryDocument(path: string, gitVersion: string): object | undefined {
  if (path === '/version') return versionDocument(gitVersion)
  if (path === '/')
    return {paths: ['/api', '/api/v1', '/apis', ...groupPaths(), ...HEALTH_PATHS, '/openapi/v3', '/version']}
  if (path === '/api') {
    return {kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: []}
  }
  if (path === '/apis') {
    return {kind: 'APIGroupList', apiVersion: 'v1', groups: groups().map(groupDocument)}
  }
  const [, prefix, group = '', version] = path.split('/')
  if (prefix === 'api' && group === 'v1' && version === undefined) return resourceList('', 'v1')
  if (prefix !== 'apis' || !groups().includes(group)) return undefined
  if (version === undefined) return {kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(group)}
  return path.split('/').length === 4 ? resourceList(group, version) : undefined
}

function versionDocument(gitVersion: string): object {
  const [major = '', minor = ''] = gitVersion.replace(/^v/, '').split('.')
  return {
    major,
    minor,
    gitVersion,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: 'node',
    platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  }
}

function groups(): string[] {
  return [...new Set(RESOURCE_ROWS.map((row) => row.group))].filter((group) => group !== '')
}

function groupPaths(): string[] {
  return groups().flatMap((group) => [`/apis/${group}`, `/apis/${group}/v1`])
}

function groupDocument(group: string): object {
  const version = {groupVersion: `${group}/v1`, version: 'v1'}
  return {name: group, versions: [version], preferredVersion: version}
}

function resourceList(group: string, version: string): object | undefined {
  const rows = RESOURCE_ROWS.filter((row) => row.group === group && row.version === version)
  if (rows.length === 0) return undefined
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: groupVersion({group, version}),
    resources: rows.flatMap((row) => [
      resourceDocument(row),
      ...row.subresources.map((name) => subresourceDocument(row, name)),
    ]),
  }
}

function resourceDocument(row: ResourceRow): object {
  return {
    name: row.resource,
    singularName: row.singular,
    namespaced: row.namespaced,
    kind: row.kind,
    verbs: VERBS,
    ...(row.shortNames.length > 0 ? {shortNames: row.shortNames} : {}),
    ...(row.categories.length > 0 ? {categories: row.categories} : {}),
  }
}

function subresourceDocument(row: ResourceRow, name: string): object {
  const {kind, verbs, ...other} = SUBRESOURCES[name] ?? {verbs: ['get']}
  return {
    name: `${row.resource}/${name}`,
    singularName: '',
    namespaced: row.namespaced,
    ...other,
    kind: kind ?? row.kind,
    verbs,
  }
}
