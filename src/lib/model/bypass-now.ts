// SPDX-License-Identifier: Apache-2.0
/** Is the sidecar of a pod short-circuited now, and is it meant to be? Pure. */
import type {BypassEntry} from './bypass.ts'
import {isBypassAsked} from './bypass-wish.ts'
import {hasSidecar, type Labels} from './enrollment.ts'
import type {Pod} from './kube.ts'
import type {NodeFacts} from './plan-node.ts'

/** `active` null: nobody tells. */
export type BypassNow = Omit<BypassEntry, 'active'> & {readonly active: boolean | null}

/** Why `active` is null: a label asks, and the daemon of the node knows of no bypass. */
const NOT_TOLD = 'BypassNotTold'

/**
 * Null: neither wanted nor there. The daemon's word counts; one that does not speak of it and has captured the
 * pod beside its sidecar has short-circuited that where its policy says so.
 *
 * @param kmesh - Kmesh has the pod; null: not known
 * @param namespaceLabels - undefined where they are not known
 */
export function bypassNow(
  pod: Pod,
  namespaceLabels: Labels,
  node: NodeFacts | null,
  kmesh: boolean | null,
): BypassNow | null {
  const {uid = '', labels, annotations} = pod.metadata
  const told = node?.enrollment?.get(uid)?.bypass
  if (told !== undefined) return told.wanted || told.active ? told : null
  if (!hasSidecar(annotations)) return null
  if (kmesh === true && node?.sidecarPolicy === 'bypass') return {wanted: true, active: true, reason: null}
  return isBypassAsked(labels, namespaceLabels) ? {wanted: true, active: null, reason: NOT_TOLD} : null
}
