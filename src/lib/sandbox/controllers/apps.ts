// SPDX-License-Identifier: Apache-2.0
/** Kinds of the group apps, as far as the controllers read them. */
import type {Condition, KubeObject, PodSpec} from '../../model/kube.ts'

export interface PodTemplate {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec?: PodSpec
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
}

export interface ReplicaSet extends KubeObject {
  readonly spec?: {
    readonly replicas?: number
    readonly minReadySeconds?: number
    readonly selector?: LabelSelector
    readonly template?: PodTemplate
  }
  readonly status?: {
    readonly replicas?: number
    readonly readyReplicas?: number
    readonly availableReplicas?: number
    readonly observedGeneration?: number
  }
}

export interface Deployment extends KubeObject {
  readonly spec?: {
    readonly replicas?: number
    readonly selector?: LabelSelector
    readonly template?: PodTemplate
    readonly paused?: boolean
    /** How long a pod must have been Ready to count as available. */
    readonly minReadySeconds?: number
    readonly revisionHistoryLimit?: number
    readonly strategy?: {
      readonly type?: string
      readonly rollingUpdate?: {
        readonly maxSurge?: number | string
        readonly maxUnavailable?: number | string
      }
    }
  }
  readonly status?: {
    readonly observedGeneration?: number
    readonly replicas?: number
    readonly updatedReplicas?: number
    readonly readyReplicas?: number
    readonly availableReplicas?: number
    readonly unavailableReplicas?: number
    readonly conditions?: readonly Condition[]
  }
}

export interface DaemonSet extends KubeObject {
  readonly spec?: {
    readonly selector?: LabelSelector
    readonly template?: PodTemplate
    readonly minReadySeconds?: number
    readonly updateStrategy?: {
      readonly type?: string
      readonly rollingUpdate?: {readonly maxUnavailable?: number | string}
    }
  }
  readonly status?: Readonly<Record<string, unknown>>
}

/** Every label of `wanted` is in `labels`; nothing wanted selects nothing. */
export function labelsMatch(
  wanted: Readonly<Record<string, string>> | undefined,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  const entries = Object.entries(wanted ?? {})
  return entries.length > 0 && entries.every(([key, value]) => labels?.[key] === value)
}

/** The object is controlled by the one with this uid. */
export function isControlledBy(object: KubeObject, uid: string | undefined): boolean {
  return (
    object.metadata.ownerReferences?.some((owner) => owner.controller === true && owner.uid === uid) ?? false
  )
}

/** The reference that makes `owner` the controller of another object. */
export function controllerReference(
  owner: KubeObject,
  apiVersion: string,
  kind: string,
): {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller: boolean
  blockOwnerDeletion: boolean
} {
  const {name = '', uid = ''} = owner.metadata
  return {apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true}
}
