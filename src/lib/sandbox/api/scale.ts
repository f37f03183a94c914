// SPDX-License-Identifier: Apache-2.0
/** The subresources `scale` and `binding`: other kinds that stand for a part of an object. */
import {type Fields, fieldsOf, isFields, type StoredObject, textAt} from './object.ts'
import type {ResourceRow} from './resource-row.ts'
import {badRequest, conflict} from './status.ts'

/** An autoscaling/v1 Scale of a Deployment or ReplicaSet. */
export function scaleOf(object: StoredObject): Fields {
  const {name, namespace, uid, resourceVersion, creationTimestamp} = object.metadata
  const labels = Object.entries(fieldsOf(fieldsOf(object.spec?.['selector'])['matchLabels']))
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {name, namespace, uid, resourceVersion, creationTimestamp},
    spec: {replicas: object.spec?.['replicas'] ?? 0},
    status: {
      replicas: Number(textAt(object, 'status.replicas') || 0),
      selector: labels.map(([key, value]) => `${key}=${String(value)}`).join(','),
    },
  }
}

/** The object with the replicas of a Scale. @throws StatusError 400, 409 */
export function withScale(row: ResourceRow, object: StoredObject, scale: unknown): StoredObject {
  if (!isFields(scale) || scale['kind'] !== 'Scale')
    throw badRequest('the body of the request must be a Scale')
  const replicas = fieldsOf(scale['spec'])['replicas'] ?? 0
  const version = fieldsOf(scale['metadata'])['resourceVersion']
  if (version && version !== object.metadata.resourceVersion) throw conflict(row, object.metadata.name)
  if (!Number.isInteger(replicas))
    throw badRequest('Scale in version "v1" cannot be handled as a Scale: spec.replicas must be an integer')
  return {...object, spec: {...object.spec, replicas}}
}

/** The pod with the node that a Binding names. @throws StatusError 400, 409 */
export function withBinding(
  row: ResourceRow,
  pod: StoredObject,
  binding: unknown,
  nowText: string,
): StoredObject {
  const target = isFields(binding) ? fieldsOf(binding['target']) : {}
  if (typeof target['name'] !== 'string' || target['name'] === '')
    throw badRequest('target.name: Required value')
  const name = pod.metadata.name
  const node = textAt(pod, 'spec.nodeName')
  if (pod.metadata.deletionTimestamp) {
    throw conflict(row, name, `pod ${name} is being deleted, cannot be assigned to a host`)
  }
  if (node !== '') throw conflict(row, name, `pod ${name} is already assigned to node "${node}"`)
  const others = (Array.isArray(pod.status?.['conditions']) ? pod.status['conditions'] : []).filter(
    (condition) => fieldsOf(condition)['type'] !== 'PodScheduled',
  )
  const scheduled = {type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: nowText}
  return {
    ...pod,
    spec: {...pod.spec, nodeName: target['name']},
    status: {...pod.status, conditions: [...others, scheduled]},
  }
}
