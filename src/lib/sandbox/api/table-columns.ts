// SPDX-License-Identifier: Apache-2.0
/** Columns of each resource, with the names and order that kubectl's users know. */
import type {Container, Endpoint, Service} from '../../model/kube.ts'
import {arrayOf, type Fields, fieldsOf, type StoredObject, textAt, textOf} from './object.ts'
import {podCells} from './table-pod.ts'

export interface Column {
  readonly name: string
  readonly description?: string
  /** Shown by `-o wide` only. */
  readonly wide?: boolean
  readonly number?: boolean
  /** Where it is neither a text nor a number. */
  readonly type?: string
  readonly cell: (object: StoredObject, nowMs: number) => string | number | boolean | null
}

const NONE = '<none>'
const NAME: Column = {name: 'Name', cell: (object) => object.metadata.name}
const AGE: Column = {name: 'Age', cell: (object, nowMs) => age(object.metadata.creationTimestamp, nowMs)}

function numberColumn(name: string, path: string): Column {
  return {name, number: true, cell: (object) => Number(textAt(object, path) || 0)}
}

function textColumn(name: string, path: string): Column {
  return {name, cell: (object) => textAt(object, path)}
}

function wide(name: string, cell: (object: StoredObject) => string): Column {
  return {name, wide: true, cell}
}

const TEMPLATE_COLUMNS: readonly Column[] = [
  wide('Containers', (object) => names(object, 'name')),
  wide('Images', (object) => names(object, 'image')),
  wide('Selector', (object) => pairs(fieldsOf(fieldsOf(object.spec)['selector'])['matchLabels'])),
]

const ROLE_REF: Column = {
  name: 'Role',
  cell: (object) => `${textAt(object, 'roleRef.kind')}/${textAt(object, 'roleRef.name')}`,
}
const CREATED: Column = {name: 'Created At', cell: (object) => object.metadata.creationTimestamp}

export const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  namespaces: [NAME, textColumn('Status', 'status.phase'), AGE],
  configmaps: [
    NAME,
    {name: 'Data', number: true, cell: (object) => count(object['data']) + count(object['binaryData'])},
    AGE,
  ],
  nodes: [
    NAME,
    {name: 'Status', cell: nodeStatus},
    {name: 'Roles', cell: nodeRoles},
    AGE,
    textColumn('Version', 'status.nodeInfo.kubeletVersion'),
    wide('Internal-IP', (object) => nodeAddress(object, 'InternalIP')),
    wide('External-IP', (object) => nodeAddress(object, 'ExternalIP')),
    wide('OS-Image', (object) => textAt(object, 'status.nodeInfo.osImage') || '<unknown>'),
    wide('Kernel-Version', (object) => textAt(object, 'status.nodeInfo.kernelVersion') || '<unknown>'),
    wide(
      'Container-Runtime',
      (object) => textAt(object, 'status.nodeInfo.containerRuntimeVersion') || '<unknown>',
    ),
  ],
  pods: [
    NAME,
    {name: 'Ready', cell: (object) => podCells(object).ready},
    {name: 'Status', cell: (object) => podCells(object).status},
    {name: 'Restarts', cell: (object) => String(podCells(object).restarts)},
    AGE,
    wide('IP', (object) => textAt(object, 'status.podIP') || NONE),
    wide('Node', (object) => textAt(object, 'spec.nodeName') || NONE),
    wide('Nominated Node', () => NONE),
    wide('Readiness Gates', () => NONE),
  ],
  services: [
    NAME,
    textColumn('Type', 'spec.type'),
    {name: 'Cluster-IP', cell: (object) => textAt(object, 'spec.clusterIP') || NONE},
    {name: 'External-IP', cell: (object) => textAt(object, 'spec.externalName') || NONE},
    {name: 'Port(s)', cell: (object) => servicePorts(object as Service)},
    AGE,
    wide('Selector', (object) => pairs(fieldsOf(object.spec)['selector'])),
  ],
  secrets: [
    NAME,
    textColumn('Type', 'type'),
    {name: 'Data', number: true, cell: (object) => count(object['data'])},
    AGE,
  ],
  serviceaccounts: [
    NAME,
    {name: 'Secrets', number: true, cell: (object) => arrayOf(object['secrets']).length},
    AGE,
  ],
  leases: [NAME, textColumn('Holder', 'spec.holderIdentity'), AGE],
  roles: [NAME, CREATED],
  clusterroles: [NAME, CREATED],
  rolebindings: [NAME, ROLE_REF, AGE],
  clusterrolebindings: [NAME, ROLE_REF, AGE],
  customresourcedefinitions: [NAME, CREATED],
  endpointslices: [
    NAME,
    textColumn('AddressType', 'addressType'),
    {
      name: 'Ports',
      cell: (object) => listed(arrayOf(object['ports']).map((port) => textAt(fieldsOf(port), 'port'))),
    },
    {
      name: 'Endpoints',
      cell: (object) =>
        listed((arrayOf(object['endpoints']) as Endpoint[]).flatMap((endpoint) => endpoint.addresses)),
    },
    AGE,
  ],
  deployments: [
    NAME,
    {
      name: 'Ready',
      cell: (object) =>
        `${textAt(object, 'status.readyReplicas') || 0}/${textAt(object, 'spec.replicas') || 0}`,
    },
    numberColumn('Up-to-date', 'status.updatedReplicas'),
    numberColumn('Available', 'status.availableReplicas'),
    AGE,
    ...TEMPLATE_COLUMNS,
  ],
  replicasets: [
    NAME,
    numberColumn('Desired', 'spec.replicas'),
    numberColumn('Current', 'status.replicas'),
    numberColumn('Ready', 'status.readyReplicas'),
    AGE,
    ...TEMPLATE_COLUMNS,
  ],
  daemonsets: [
    NAME,
    numberColumn('Desired', 'status.desiredNumberScheduled'),
    numberColumn('Current', 'status.currentNumberScheduled'),
    numberColumn('Ready', 'status.numberReady'),
    numberColumn('Up-to-date', 'status.updatedNumberScheduled'),
    numberColumn('Available', 'status.numberAvailable'),
    {
      name: 'Node Selector',
      cell: (object) => pairs(fieldsOf(fieldsOf(fieldsOf(object.spec)['template'])['spec'])['nodeSelector']),
    },
    AGE,
    ...TEMPLATE_COLUMNS,
  ],
  events: [
    {
      name: 'Last Seen',
      cell: (object, nowMs) =>
        age(
          textOf(object['lastTimestamp']) || textOf(object['eventTime']) || object.metadata.creationTimestamp,
          nowMs,
        ),
    },
    textColumn('Type', 'type'),
    textColumn('Reason', 'reason'),
    {
      name: 'Object',
      cell: (object) =>
        `${textAt(object, 'involvedObject.kind').toLowerCase()}/${textAt(object, 'involvedObject.name')}`,
    },
    wide('Subobject', (object) => textAt(object, 'involvedObject.fieldPath')),
    wide('Source', (object) => textAt(object, 'source.component') || textAt(object, 'reportingComponent')),
    textColumn('Message', 'message'),
    wide('Count', (object) => textAt(object, 'count') || '1'),
    {...NAME, wide: true},
  ],
}

/** Time since a timestamp in kubectl's short form: `5s`, `3m20s`, `4h10m`, `2d3h`, `40d`. */
export function age(timestamp: string, nowMs: number): string {
  const seconds = Math.max(0, Math.floor((nowMs - Date.parse(timestamp)) / 1000))
  if (Number.isNaN(seconds)) return '<unknown>'
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  const days = Math.floor(hours / 24)
  if (seconds < 120) return `${seconds}s`
  if (minutes < 10) return joined(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  if (hours < 8) return joined(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  if (days < 8) return joined(days, 'd', hours % 24, 'h')
  return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`
}

function joined(whole: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${whole}${unit}` : `${whole}${unit}${rest}${restUnit}`
}

function count(value: unknown): number {
  return Object.keys(fieldsOf(value)).length
}

function pairs(value: unknown): string {
  const entries = Object.entries(fieldsOf(value))
  return entries.length === 0 ? NONE : entries.map(([key, text]) => `${key}=${text}`).join(',')
}

/** The first three, then how many more there are. */
function listed(values: readonly string[]): string {
  if (values.length === 0) return '<unset>'
  const shown = values.slice(0, 3).join(',')
  return values.length > 3 ? `${shown} + ${values.length - 3} more...` : shown
}

function names(object: StoredObject, field: 'name' | 'image'): string {
  const template = fieldsOf(fieldsOf(fieldsOf(object.spec)['template'])['spec'])
  return (arrayOf(template['containers']) as Container[]).map((container) => container[field] ?? '').join(',')
}

function servicePorts(service: Service): string {
  const ports = service.spec?.ports ?? []
  const texts = ports.map(
    (port) => `${port.port}${port.nodePort ? `:${port.nodePort}` : ''}/${port.protocol ?? 'TCP'}`,
  )
  return texts.length === 0 ? NONE : texts.join(',')
}

function nodeStatus(object: StoredObject): string {
  const conditions = arrayOf(fieldsOf(object.status)['conditions']) as Fields[]
  const ready = conditions.find((condition) => condition['type'] === 'Ready')
  const texts = [ready === undefined ? 'Unknown' : ready['status'] === 'True' ? 'Ready' : 'NotReady']
  if (fieldsOf(object.spec)['unschedulable'] === true) texts.push('SchedulingDisabled')
  return texts.join(',')
}

function nodeRoles(object: StoredObject): string {
  const prefix = 'node-role.kubernetes.io/'
  const roles = Object.keys(object.metadata.labels ?? {}).filter((key) => key.startsWith(prefix))
  return roles.length === 0
    ? NONE
    : roles
        .map((key) => key.slice(prefix.length))
        .sort()
        .join(',')
}

function nodeAddress(object: StoredObject, type: string): string {
  const addresses = arrayOf(fieldsOf(object.status)['addresses']) as Fields[]
  return textOf(addresses.find((address) => address['type'] === type)?.['address']) || NONE
}
