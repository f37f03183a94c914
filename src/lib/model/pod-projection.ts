// SPDX-License-Identifier: Apache-2.0
/** The parts of pods that interop looks at. A pod of a real cluster is 4 to 15 kB, what is used of it some 300 bytes. */
import {
  AMBIENT_REDIRECTION_ANNOTATION,
  REDIRECTION_ANNOTATION,
  SIDECAR_STATUS_ANNOTATION,
} from './enrollment.ts'
import type {Container, KubeObject, ObjectMeta, Pod} from './kube.ts'
import {ownsLabel} from './plan-owner.ts'
import {INJECT_LABEL} from './sidecar.ts'

const ANNOTATIONS = [
  REDIRECTION_ANNOTATION,
  AMBIENT_REDIRECTION_ANNOTATION,
  INJECT_LABEL,
  SIDECAR_STATUS_ANNOTATION,
]
/** Only whether it is there counts. */
const PRESENCE_ONLY = new Set([SIDECAR_STATUS_ANNOTATION])

/** Reduces pods one by one; labels and texts that many of them have alike are kept once. */
export class PodProjection {
  private readonly shared = new Map<string, unknown>()
  private readonly texts = new Map<string, string>()

  /** A pod without what nobody asks of it here. */
  readonly project = (object: KubeObject): Pod => {
    const {metadata, spec, status} = object as Pod
    const {phase, startTime, podIP, conditions} = status ?? {}
    const ready = conditions?.find(({type}) => type === 'Ready')
    return {
      metadata: this.metadata(metadata),
      ...(spec === undefined
        ? {}
        : {
            spec: {
              ...(spec.nodeName === undefined ? {} : {nodeName: this.text(spec.nodeName)}),
              ...(spec.hostNetwork === true ? {hostNetwork: true} : {}),
              containers: this.once(containersOf(spec.containers)),
            },
          }),
      status: {
        ...(phase === undefined ? {} : {phase: this.text(phase)}),
        ...(startTime === undefined ? {} : {startTime: this.text(startTime)}),
        ...(podIP === undefined ? {} : {podIP}),
        ...(ready === undefined ? {} : {conditions: this.once([readyOf(ready)])}),
      },
    }
  }

  private metadata(metadata: ObjectMeta): ObjectMeta {
    const {name, namespace, uid, deletionTimestamp, labels, annotations} = metadata
    const owner = metadata.ownerReferences?.find(({controller}) => controller === true)
    const writes = metadata.managedFields?.filter(ownsLabel) ?? []
    return {
      ...(name === undefined ? {} : {name}),
      ...(namespace === undefined ? {} : {namespace: this.text(namespace)}),
      ...(uid === undefined ? {} : {uid}),
      ...(deletionTimestamp === undefined ? {} : {deletionTimestamp}),
      ...(labels === undefined ? {} : {labels: this.once(labels)}),
      ...(annotations === undefined ? {} : {annotations: this.once(annotationsOf(annotations))}),
      ...(owner === undefined ? {} : {ownerReferences: this.once([owner])}),
      ...(writes.length === 0 ? {} : {managedFields: writes}),
    }
  }

  private once<T>(value: T): T {
    const key = JSON.stringify(value)
    const known = this.shared.get(key) as T | undefined
    if (known === undefined) this.shared.set(key, value)
    return known ?? value
  }

  private text(text: string): string {
    const known = this.texts.get(text)
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

function readyOf({
  type,
  status,
  lastTransitionTime,
}: NonNullable<NonNullable<Pod['status']>['conditions']>[number]) {
  return {type, status, ...(lastTransitionTime === undefined ? {} : {lastTransitionTime})}
}
