// SPDX-License-Identifier: Apache-2.0
/** Who else writes the label: the controller that made a pod, and managers of server-side apply. */
import {DATAPLANE_LABEL} from './enrollment.ts'
import type {ManagedFields, ObjectMeta, OwnerReference} from './kube.ts'

export const FIELD_MANAGER = 'kmeshctl'

/** The object whose pod template holds the labels of a pod. */
export interface TemplateOwner {
  readonly kind: string
  readonly name: string
}

/** Kinds whose template can be patched with the path `spec.template`. */
const PATCHABLE = ['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet', 'ReplicationController']

/** Owner references are not validated by the API server, and the command is made to be pasted into a shell. */
const PLAIN_NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

/** Undefined for a pod that nobody makes again. */
export function templateOwnerOf(metadata: ObjectMeta): TemplateOwner | undefined {
  const owner = metadata.ownerReferences?.find((reference) => reference.controller === true)
  if (owner === undefined) return undefined
  return deploymentOf(owner, metadata.labels?.['pod-template-hash']) ?? {kind: owner.kind, name: owner.name}
}

/** A Deployment names its ReplicaSets `<deployment>-<pod-template-hash>`. */
function deploymentOf(owner: OwnerReference, templateHash: string | undefined): TemplateOwner | undefined {
  const suffix = `-${templateHash ?? ''}`
  const isMade = owner.kind === 'ReplicaSet' && suffix.length > 1 && owner.name.endsWith(suffix)
  return isMade ? {kind: 'Deployment', name: owner.name.slice(0, -suffix.length)} : undefined
}

/**
 * A command that gives the template the label, or takes it away (`value` null). Null where a template
 * of that kind cannot be patched (a Job's), where its path is not known, and where the name is no name.
 */
export function templatePatchCommand(
  namespace: string,
  owner: TemplateOwner,
  value: string | null,
): string | null {
  if (!PATCHABLE.includes(owner.kind) || !PLAIN_NAME.test(owner.name)) return null
  const patch = {spec: {template: {metadata: {labels: {[DATAPLANE_LABEL]: value}}}}}
  const target = `${owner.kind.toLowerCase()} ${owner.name}`
  return `kubectl -n ${namespace} patch ${target} --type merge -p '${JSON.stringify(patch)}'`
}

/** Other managers that own the label by server-side apply: their next apply puts their value back. */
export function appliersOf(metadata: ObjectMeta): readonly string[] {
  const appliers = (metadata.managedFields ?? []).filter(
    (entry) => entry.operation === 'Apply' && entry.manager !== FIELD_MANAGER && ownsLabel(entry),
  )
  return [...new Set(appliers.map((entry) => entry.manager ?? 'unknown'))]
}

/** When the label was last written, in milliseconds since the epoch; null where nobody noted it. */
export function labelTimeMs(metadata: ObjectMeta): number | null {
  const times = (metadata.managedFields ?? [])
    .filter(ownsLabel)
    .map((entry) => Date.parse(entry.time ?? ''))
    .filter((time) => !Number.isNaN(time))
  return times.length === 0 ? null : Math.max(...times)
}

/** Does this manager own the label? */
export function ownsLabel(entry: ManagedFields): boolean {
  const labels = field(field(entry.fieldsV1, 'f:metadata'), 'f:labels')
  return field(labels, `f:${DATAPLANE_LABEL}`) !== undefined
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined
}
