// SPDX-License-Identifier: Apache-2.0
/** Values that Kubernetes fills in where a manifest leaves them out; only those that somebody here reads. */
import {withBindingDefaults, withSecretDefaults} from './access-objects.ts'
import {withDefinitionDefaults} from './custom-definition.ts'
import {arrayOf, type Fields, fieldsOf, type StoredObject} from './object.ts'
import type {ResourceRow} from './resource-row.ts'

/** The object with its defaults; `isNew` adds what is set once, on create. */
export function withDefaults(row: ResourceRow, object: StoredObject, isNew: boolean): StoredObject {
  const fill = row.custom === undefined ? DEFAULTS[row.resource] : undefined
  const base = isNew && row.statusReset ? withoutStatus(object) : object
  return fill === undefined ? base : fill(base, isNew)
}

function withoutStatus(object: StoredObject): StoredObject {
  const {status: _, ...rest} = object
  return rest as StoredObject
}

type Fill = (object: StoredObject, isNew: boolean) => StoredObject

const DEFAULTS: Readonly<Record<string, Fill>> = {
  namespaces: (object, isNew) => ({
    ...object,
    metadata: {
      ...object.metadata,
      labels: {...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name},
    },
    ...(isNew ? {spec: {...object.spec, finalizers: ['kubernetes']}, status: {phase: 'Active'}} : {}),
  }),
  nodes: (object) => ({...object, spec: fieldsOf(object.spec), status: fieldsOf(object.status)}),
  pods: (object, isNew) => ({
    ...object,
    spec: podSpec(fieldsOf(object.spec)),
    ...(isNew ? {status: {phase: 'Pending', qosClass: 'BestEffort'}} : {}),
  }),
  services: (object, isNew) => ({
    ...object,
    spec: serviceSpec(fieldsOf(object.spec)),
    ...(isNew ? {status: {loadBalancer: {}}} : {}),
  }),
  deployments: (object, isNew) => ({
    ...object,
    spec: deploymentSpec(fieldsOf(object.spec)),
    ...(isNew ? {status: {}} : {}),
  }),
  daemonsets: (object, isNew) => ({
    ...object,
    spec: daemonSetSpec(fieldsOf(object.spec)),
    ...(isNew ? {status: NO_DAEMONS} : {}),
  }),
  replicasets: (object, isNew) => ({
    ...object,
    spec: {replicas: 1, ...fieldsOf(object.spec), ...template(fieldsOf(object.spec))},
    ...(isNew ? {status: {replicas: 0}} : {}),
  }),
  customresourcedefinitions: withDefinitionDefaults,
  secrets: withSecretDefaults,
  rolebindings: withBindingDefaults,
  clusterrolebindings: withBindingDefaults,
}

function podSpec(spec: Fields): Fields {
  const account = spec['serviceAccountName'] ?? 'default'
  return {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
    ...spec,
    serviceAccountName: account,
    serviceAccount: account,
    containers: arrayOf(spec['containers']).map(container),
    ...(spec['initContainers'] ? {initContainers: arrayOf(spec['initContainers']).map(container)} : {}),
  }
}

function container(value: unknown): Fields {
  const fields = fieldsOf(value)
  const ports = fields['ports'] === undefined ? {} : {ports: arrayOf(fields['ports']).map(withProtocol)}
  return {imagePullPolicy: 'IfNotPresent', ...fields, ...ports}
}

function withProtocol(port: unknown): Fields {
  return {protocol: 'TCP', ...fieldsOf(port)}
}

function serviceSpec(spec: Fields): Fields {
  return {
    type: 'ClusterIP',
    sessionAffinity: 'None',
    ...(spec['type'] === 'ExternalName' ? {} : {internalTrafficPolicy: 'Cluster'}),
    ...spec,
    ...(spec['ports'] === undefined ? {} : {ports: arrayOf(spec['ports']).map(servicePort)}),
  }
}

function servicePort(value: unknown): Fields {
  const port = fieldsOf(value)
  const target = port['targetPort']
  return {
    protocol: 'TCP',
    ...port,
    targetPort: target === undefined || target === 0 || target === '' ? port['port'] : target,
  }
}

function deploymentSpec(spec: Fields): Fields {
  const strategy = {type: 'RollingUpdate', ...fieldsOf(spec['strategy'])}
  const rolling = {
    maxSurge: '25%',
    maxUnavailable: '25%',
    ...fieldsOf(fieldsOf(spec['strategy'])['rollingUpdate']),
  }
  return {
    replicas: 1,
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
    ...spec,
    strategy:
      strategy.type === 'RollingUpdate' ? {...strategy, rollingUpdate: rolling} : {type: strategy.type},
    ...template(spec),
  }
}

const NO_DAEMONS = {
  currentNumberScheduled: 0,
  desiredNumberScheduled: 0,
  numberMisscheduled: 0,
  numberReady: 0,
}

function daemonSetSpec(spec: Fields): Fields {
  const strategy = {type: 'RollingUpdate', ...fieldsOf(spec['updateStrategy'])}
  const rolling = {
    maxSurge: 0,
    maxUnavailable: 1,
    ...fieldsOf(fieldsOf(spec['updateStrategy'])['rollingUpdate']),
  }
  return {
    revisionHistoryLimit: 10,
    ...spec,
    updateStrategy:
      strategy.type === 'RollingUpdate' ? {...strategy, rollingUpdate: rolling} : {type: strategy.type},
    ...template(spec),
  }
}

function template(spec: Fields): Fields {
  const given = fieldsOf(spec['template'])
  return {template: {...given, metadata: fieldsOf(given['metadata']), spec: podSpec(fieldsOf(given['spec']))}}
}
