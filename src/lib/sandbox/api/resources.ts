// SPDX-License-Identifier: Apache-2.0
/** What the server serves of itself: one row a resource. Discovery, routing, defaulting and selectors iterate it. */
import {ACCESS_ROWS} from './access-rows.ts'
import {BASE, type ResourceRow} from './resource-row.ts'

const CORE = {group: '', version: 'v1'} as const
const APPS = {group: 'apps', version: 'v1'} as const

export const RESOURCE_ROWS: readonly ResourceRow[] = [
  {
    ...BASE,
    ...CORE,
    resource: 'namespaces',
    kind: 'Namespace',
    singular: 'namespace',
    shortNames: ['ns'],
    namespaced: false,
    subresources: ['finalize', 'status'],
    statusReset: true,
    selectableFields: ['status.phase'],
  },
  {
    ...BASE,
    ...CORE,
    resource: 'nodes',
    kind: 'Node',
    singular: 'node',
    shortNames: ['no'],
    namespaced: false,
    subresources: ['status'],
    selectableFields: ['spec.unschedulable'],
  },
  {
    ...BASE,
    ...CORE,
    resource: 'pods',
    kind: 'Pod',
    singular: 'pod',
    shortNames: ['po'],
    categories: ['all'],
    subresources: ['binding', 'log', 'portforward', 'status'],
    statusReset: true,
    selectableFields: [
      'spec.nodeName',
      'spec.restartPolicy',
      'spec.hostNetwork',
      'status.phase',
      'status.podIP',
    ],
  },
  {
    ...BASE,
    ...CORE,
    resource: 'services',
    kind: 'Service',
    singular: 'service',
    shortNames: ['svc'],
    categories: ['all'],
    subresources: ['status'],
    statusReset: true,
    selectableFields: ['spec.clusterIP', 'spec.type'],
  },
  {
    ...BASE,
    ...CORE,
    resource: 'configmaps',
    kind: 'ConfigMap',
    singular: 'configmap',
    shortNames: ['cm'],
  },
  {
    ...BASE,
    ...CORE,
    resource: 'secrets',
    kind: 'Secret',
    singular: 'secret',
    selectableFields: ['type'],
  },
  {
    ...BASE,
    ...CORE,
    resource: 'events',
    kind: 'Event',
    singular: 'event',
    shortNames: ['ev'],
    selectableFields: [
      'involvedObject.kind',
      'involvedObject.name',
      'involvedObject.namespace',
      'involvedObject.uid',
      'reason',
      'type',
    ],
  },
  {
    ...BASE,
    ...APPS,
    resource: 'deployments',
    kind: 'Deployment',
    singular: 'deployment',
    shortNames: ['deploy'],
    categories: ['all'],
    subresources: ['scale', 'status'],
    statusReset: true,
    generation: true,
  },
  {
    ...BASE,
    ...APPS,
    resource: 'replicasets',
    kind: 'ReplicaSet',
    singular: 'replicaset',
    shortNames: ['rs'],
    categories: ['all'],
    subresources: ['scale', 'status'],
    statusReset: true,
    generation: true,
  },
  {
    ...BASE,
    ...APPS,
    resource: 'daemonsets',
    kind: 'DaemonSet',
    singular: 'daemonset',
    shortNames: ['ds'],
    categories: ['all'],
    subresources: ['status'],
    statusReset: true,
    generation: true,
  },
  {
    ...BASE,
    group: 'discovery.k8s.io',
    version: 'v1',
    resource: 'endpointslices',
    kind: 'EndpointSlice',
    singular: 'endpointslice',
    generation: true,
  },
  ...ACCESS_ROWS,
]

/** The row of a resource of this table by its plural; for code that names one. */
export function resourceRow(resource: string): ResourceRow {
  const row = RESOURCE_ROWS.find((candidate) => candidate.resource === resource)
  if (row === undefined) throw new Error(`no resource ${resource}`)
  return row
}
