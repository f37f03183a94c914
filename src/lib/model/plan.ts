// SPDX-License-Identifier: Apache-2.0
/** Shapes of an enrollment plan: what will be written, and what becomes of each pod. Pure data. */
import type {EnrollmentObstacle, EnrollmentRule} from './enrollment.ts'

export type PlanAction = 'enroll' | 'unenroll'

/** Who moves a pod's traffic. */
export type Capture = 'kmesh' | 'sidecar' | 'ambient' | 'none'

/** Where a statement about capture by Kmesh comes from; `none`: nobody could tell. */
/** `memory`: the daemon tells it, but its maps are in no kernel. */
export type CaptureSource = 'kernel' | 'memory' | 'annotation' | 'none'

export type PlanWarningCode =
  | 'LabelCaseTrap'
  | 'AlsoInjected'
  | 'OwnerRecreates'
  | 'AppliedByOther'
  | 'NoEffect'
  | 'NoneWritten'
  | 'AnnotationRemoved'
  | 'StaysEnrolled'
  | 'OpenConnections'
  | 'RuleNotSupported'

export interface PlanWarning {
  readonly code: PlanWarningCode
  readonly namespace: string | null
  readonly pod: string | null
  readonly message: string
}

/** Why nothing is written to a target. */
export type UnchangedCode = 'AlreadyEnrolled' | 'NotEnrolled'
/** Why a target is refused; it becomes an error of the result. */
export type RefusalCode = 'OverwriteNeeded' | 'SystemNamespace' | 'RuleNotSupported'

/** What happens to the label of one namespace or pod. */
export type LabelChange =
  | {readonly kind: 'write'; readonly before: string | null; readonly after: string | null}
  | {readonly kind: 'keep'; readonly before: string | null; readonly code: UnchangedCode}
  | {
      readonly kind: 'refuse'
      readonly before: string | null
      readonly code: RefusalCode
      readonly message: string
    }

/** The object whose label the operator named. */
export interface TargetPlan {
  readonly kind: 'Namespace' | 'Pod'
  /** Of a namespace its own name. */
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly change: LabelChange
}

export interface PodPlan {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly node: string | null
  readonly now: {
    /** Null: not known. */
    readonly capture: Capture | null
    readonly source: CaptureSource
    readonly intent: boolean
    readonly rule: EnrollmentRule
  }
  readonly after: {readonly capture: Capture | null; readonly intent: boolean}
  /** The rule that decides after the change; null where the daemon's policy is needed and not known. */
  readonly reason: EnrollmentRule | null
  readonly obstacle: EnrollmentObstacle | null
  /** The pod has to be followed until the kernel agrees with the plan. */
  readonly follow: boolean
}

/** A pod whose annotation has to go too: at v0.4 the annotation alone keeps a pod enrolled. */
export interface Unannotation {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** The target (by uid) whose label has to be written first. */
  readonly targetUid: string
}

export interface Plan {
  readonly action: PlanAction
  readonly unannotations: readonly Unannotation[]
  readonly targets: readonly TargetPlan[]
  /** Every live pod that a target touches, by namespace and name. */
  readonly pods: readonly PodPlan[]
  readonly warnings: readonly PlanWarning[]
}

export interface PlanOptions {
  readonly action: PlanAction
  readonly overwrite: boolean
  readonly allowSystem: boolean
  readonly meshNamespace: string
}

/** The targets that will be written. */
export function writesOf(plan: Plan): readonly TargetPlan[] {
  return plan.targets.filter((target) => target.change.kind === 'write')
}

/** Kubernetes' own namespaces, Istio's and the mesh's: enrolling one can cut off the cluster's own parts. */
export function isSystemNamespace(name: string, meshNamespace: string): boolean {
  return name.startsWith('kube-') || name === 'istio-system' || name === meshNamespace
}
