// SPDX-License-Identifier: Apache-2.0
/** What kubectl asks before it asks for anything: versions, groups, resources. */
import {openApiDocument} from './openapi.ts'
import {groupVersion, type ResourceRow} from './resource-row.ts'

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
  token: {verbs: ['create'], kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1'},
}

const OPENAPI_V2 = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'
const HEALTH_PATHS = ['/healthz', '/livez', '/readyz', '/ping']

export interface FixedAnswer {
  readonly contentType: string
  readonly body: string
}

/** The answer to a GET of a path that names no object; undefined where there is none. */
export function fixedAnswer(
  rows: readonly ResourceRow[],
  path: string,
  gitVersion: string,
): FixedAnswer | undefined {
  const trimmed = path.length > 1 ? path.replace(/\/+$/, '') : path
  if (HEALTH_PATHS.includes(trimmed)) return {contentType: 'text/plain; charset=utf-8', body: 'ok'}
  // Version 2 comes as protobuf; no bytes are a document with nothing in it, which kubectl before 1.30 is content with.
  if (trimmed === '/openapi/v2') return {contentType: OPENAPI_V2, body: ''}
  const document = discoveryDocument(rows, trimmed, gitVersion) ?? openApiDocument(rows, trimmed, gitVersion)
  return document && {contentType: 'application/json', body: `${JSON.stringify(document)}\n`}
}

function discoveryDocument(
  rows: readonly ResourceRow[],
  path: string,
  gitVersion: string,
): object | undefined {
  if (path === '/version') return versionDocument(gitVersion)
  if (path === '/')
    return {
      paths: ['/api', '/api/v1', '/apis', ...groupPaths(rows), ...HEALTH_PATHS, '/openapi/v3', '/version'],
    }
  if (path === '/api') {
    return {kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: []}
  }
  if (path === '/apis') {
    return {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: groupsOf(rows).map((group) => groupDocument(rows, group)),
    }
  }
  const [, prefix, group = '', version] = path.split('/')
  if (prefix === 'api' && group === 'v1' && version === undefined) return resourceList(rows, '', 'v1')
  if (prefix !== 'apis' || !groupsOf(rows).includes(group)) return undefined
  if (version === undefined) return {kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(rows, group)}
  return path.split('/').length === 4 ? resourceList(rows, group, version) : undefined
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

function groupsOf(rows: readonly ResourceRow[]): string[] {
  return [...new Set(rows.map((row) => row.group))].filter((group) => group !== '')
}

/** Stable versions first, then beta, then alpha; higher numbers first. */
function versionsOf(rows: readonly ResourceRow[], group: string): string[] {
  const versions = new Set(rows.filter((row) => row.group === group).map((row) => row.version))
  return [...versions].sort((left, right) => compareVersions(left, right))
}

function compareVersions(left: string, right: string): number {
  const [a, b] = [versionParts(left), versionParts(right)]
  for (const [index, part] of a.entries()) if (part !== b[index]) return (b[index] ?? 0) - part
  return left < right ? -1 : 1
}

/** Level (3 stable, 2 beta, 1 alpha, 0 anything else), major and minor number. */
function versionParts(version: string): number[] {
  const found = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version)
  if (found === null) return [0, 0, 0]
  const level = found[2] === undefined ? 3 : found[2] === 'beta' ? 2 : 1
  return [level, Number(found[1]), Number(found[3] ?? 0)]
}

function groupPaths(rows: readonly ResourceRow[]): string[] {
  return groupsOf(rows).flatMap((group) => [
    `/apis/${group}`,
    ...versionsOf(rows, group).map((version) => `/apis/${group}/${version}`),
  ])
}

function groupDocument(rows: readonly ResourceRow[], group: string): object {
  const versions = versionsOf(rows, group).map((version) => ({groupVersion: `${group}/${version}`, version}))
  return {name: group, versions, preferredVersion: versions[0]}
}

function resourceList(all: readonly ResourceRow[], group: string, version: string): object | undefined {
  const rows = all.filter((row) => row.group === group && row.version === version)
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
    verbs: row.verbs ?? VERBS,
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
