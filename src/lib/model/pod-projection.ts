// SPDX-License-Identifier: Apache-2.0
/** The parts of pods that interop looks at. A pod of a real cluster is 4 to 15 kB, what is used of it some 300 bytes. */
import {
  AMBIENT_REDIRECTION_ANNOTATION,
  DATAPLANE_LABEL,
  REDIRECTION_ANNOTATION,
  SIDECAR_STATUS_ANNOTATION,
} from './enrollment.ts'
import type {Condition, Container, KubeObject, ObjectMeta, Pod} from './kube.ts'
import {ownsLabel} from './plan-owner.ts'
import {INJECT_LABEL} from './sidecar.ts'

const ANNOTATIONS = [
  REDIRECTION_ANNOTATION,
  AMBIENT_REDIRECTION_ANNOTATION,
  INJECT_LABEL,
  SIDECAR_STATUS_ANNOTATION,
]
/** Values that are kept for sharing; a watch that runs for weeks sees ever new ones. */
const MOST = 50_000
/** Only whether it is there counts. */
const PRESENCE_ONLY = new Set([SIDECAR_STATUS_ANNOTATION])

/** Members of a pod that {@link PodProjection} looks at. */
export const POD_FIELDS = {
  metadata: {
    name: true,
    namespace: true,
    uid: true,
    deletionTimestamp: true,
    labels: true,
    annotations: Object.fromEntries(ANNOTATIONS.map((name) => [name, true as const])),
    ownerReferences: {kind: true, name: true, controller: true},
    managedFields: {time: true, fieldsV1: {'f:metadata': {'f:labels': {[`f:${DATAPLANE_LABEL}`]: true}}}},
  },
  spec: {
    nodeName: true,
    hostNetwork: true,
    containers: {name: true, ports: {containerPort: true, protocol: true}},
  },
  status: {
    phase: true,
    startTime: true,
    podIP: true,
    conditions: {type: true, status: true, lastTransitionTime: true},
  },
} as const

/** Reduces pods one by one; what many of them have alike is kept once. Members that are not there are undefined. */
export class PodProjection {
  private readonly shared = new Map<string, unknown>()
  private readonly texts = new Map<string, string>()

  /** A pod without what nobody asks of it here. */
  readonly project = (object: KubeObject): Pod => {
    const {metadata, spec, status = {}} = object as Pod
    // One shape for all of them: half the memory of objects that differ in their members.
    return {
      metadata: this.metadata(metadata),
      spec: spec && {
        nodeName: this.text(spec.nodeName),
        hostNetwork: spec.hostNetwork,
        containers: this.once(containersOf(spec.containers)),
      },
      status: {
        phase: this.text(status.phase),
        startTime: this.text(status.startTime),
        podIP: status.podIP,
        conditions: this.ready(status.conditions),
      },
    } as Pod
  }

  private metadata(metadata: ObjectMeta): ObjectMeta {
    const {name, namespace, uid, deletionTimestamp, labels, annotations} = metadata
    const owner = metadata.ownerReferences?.find(({controller}) => controller === true)
    const writes = metadata.managedFields?.filter(ownsLabel) ?? []
    return {
      name,
      namespace: this.text(namespace),
      uid,
      deletionTimestamp,
      labels: labels && this.once(labels),
      annotations: annotations && this.once(annotationsOf(annotations)),
      ownerReferences: owner && this.once([owner]),
      managedFields: writes.length === 0 ? undefined : writes,
    } as ObjectMeta
  }

  private ready(conditions: readonly Condition[] | undefined): readonly Condition[] | undefined {
    const ready = conditions?.find(({type}) => type === 'Ready')
    return ready && this.once([readyOf(ready)])
  }

  private once<T>(value: T): T {
    const key = JSON.stringify(value)
    const known = this.shared.get(key) as T | undefined
    if (known === undefined && this.shared.size >= MOST) this.shared.clear()
    if (known === undefined) this.shared.set(key, value)
    return known ?? value
  }

  private text(text: string | undefined): string | undefined {
    if (text === undefined) return undefined
    const known = this.texts.get(text)
    if (known === undefined && this.texts.size >= MOST) this.texts.clear()
    if (known === undefined) this.texts.set(text, text)
    return known ?? text
  }
}

function annotationsOf(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {}
  for (const name of ANNOTATIONS) {
    const value = annotations[name]
    if (value !== undefined) kept[name] = PRESENCE_ONLY.has(name) ? '' : value
  }
  return kept
}

function containersOf(containers: readonly Container[] | undefined): readonly Container[] {
  const serving = (containers ?? []).filter(({ports}) => (ports?.length ?? 0) > 0)
  return serving.map(({name, ports = []}) => ({
    name,
    ports: ports.map(({containerPort, protocol}) => ({
      containerPort,
      ...(protocol === undefined ? {} : {protocol}),
    })),
  }))
}

function readyOf({type, status, lastTransitionTime}: Condition): Condition {
  return {type, status, ...(lastTransitionTime === undefined ? {} : {lastTransitionTime})}
}
