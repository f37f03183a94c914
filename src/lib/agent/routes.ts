// SPDX-License-Identifier: Apache-2.0
/** The admin API: path to handler, for every endpoint of the registry. */
import {
  ENDPOINTS,
  type EndpointName,
  type EnrollmentEntry,
  type ReadyReply,
  type VersionReply,
} from '../model/api.ts'
import {mapRow} from '../model/maps.ts'
import type {BpfMap} from '../ports.ts'
import {
  type AdminRequest,
  type Answer,
  goJson,
  type Handler,
  json,
  lines,
  NOT_FOUND,
  ownError,
  text,
} from './answer.ts'
import type {ClusterState} from './cluster.ts'
import {bpfDump} from './dump-bpf.ts'
import {configDump} from './dump-config.ts'
import type {Levels} from './levels.ts'
import type {RoutingMaps} from './map-writer.ts'
import {listMaps, mapLines, type Names} from './read-map.ts'
import {loggersRoute} from './route-loggers.ts'

export interface RouteParts {
  readonly version: VersionReply
  readonly levels: Levels
  readonly cluster: ClusterState
  readonly clusterDomain: string
  readonly routing: RoutingMaps
  readonly maps: ReadonlyMap<string, BpfMap>
  readonly names: Names
  readonly ready: () => ReadyReply
  readonly enrollment: () => readonly EnrollmentEntry[]
}

/** Paths of the mode that this agent has not. */
const OTHER_MODE = ['/debug/config_dump/kernel-native', '/debug/config_dump/bpf/kernel-native']

export function createRoutes(parts: RouteParts): Handler {
  const wrongMode = () => text(400, '\tInvalid Client Mode\n')
  const exact = new Map<string, Handler>(OTHER_MODE.map((path) => [path, wrongMode]))
  const add = (endpoint: EndpointName, handler: Handler) => {
    const {path, own} = ENDPOINTS[endpoint]
    exact.set(path, own ? strict(handler) : handler)
  }
  add('version', () => text(200, goJson(parts.version, 2)))
  add('ready', () => readyAnswer(parts.ready()))
  add('loggers', loggersRoute(parts.levels))
  add('configDump', () => text(200, configDump(parts.cluster, parts.clusterDomain)))
  add('bpfDump', () => text(200, bpfDump(parts.routing, parts.names.ofId)))
  add('maps', async () => json(await listMaps(parts.maps)))
  add('enrollment', () => json(parts.enrollment()))
  const map = strict((request) => mapAnswer(parts, request))
  const mapPrefix = ENDPOINTS.map.path.replace('{name}', '')
  return (request) => {
    const handler = exact.get(request.path)
    if (handler !== undefined) return handler(request)
    return request.path.startsWith(mapPrefix) ? map(request) : NOT_FOUND
  }
}

function readyAnswer(reply: ReadyReply): Answer {
  return json(reply, reply.ready ? 200 : 503)
}

/** Endpoints of ours are read-only and take no parameters; what is too much is named. */
function strict(handler: Handler): Handler {
  return (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return ownError(405, 'MethodNotAllowed', `${request.method} is not allowed, only GET`)
    }
    const parameter = request.query.keys().next().value
    if (parameter !== undefined) {
      return ownError(400, 'BadParameter', `there is no parameter '${parameter}'`, parameter)
    }
    return handler(request)
  }
}

function mapAnswer(parts: RouteParts, request: AdminRequest): Answer {
  const name = request.path.slice(ENDPOINTS.map.path.indexOf('{'))
  const row = mapRow(name)
  const map = parts.maps.get(name)
  if (row === undefined || map === undefined) {
    return ownError(404, 'NotFound', `there is no map '${name}'`, 'name')
  }
  if (row.key === undefined) {
    return ownError(400, 'NotReadable', `user space cannot list the entries of ${name}`, 'name')
  }
  return lines(mapLines(row, map, parts.names))
}
