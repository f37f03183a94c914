// SPDX-License-Identifier: Apache-2.0
/** What an install made, found again by its labels, and taken back. */
import {DeniedError, KubeStatusError, TimeoutError} from '../errors.ts'
import {isAnnotatedCaptured} from '../model/enrollment.ts'
import type {InstallItem} from '../model/install-report.ts'
import {type KubeObject, type Pod, RESOURCES} from '../model/kube.ts'
import {DAEMON_NAME, installOf, ownSelector} from '../model/manifests-settings.ts'
import type {DaemonSet} from '../model/manifests-workload.ts'
import {type ReportError, type ReportWarning, reportErrorOf} from '../model/report.ts'
import type {Kube, ResourcePath} from '../ports.ts'
import type {InstallDeps} from './install.ts'
import {checkAccess} from './install-access.ts'
import {findObject} from './install-objects.ts'
import {podsOf} from './install-rollout.ts'

export interface OwnObject {
  readonly kind: string
  readonly path: ResourcePath & {readonly name: string}
  readonly object: KubeObject
}

export interface UninstallPlan {
  readonly namespace: string
  /** In the order in which they go. */
  readonly objects: readonly OwnObject[]
  /** Nodes with an agent. */
  readonly nodeCount: number
  /** Pods that Kmesh redirects, as their annotation claims. */
  readonly enrolled: number
  readonly warnings: readonly ReportWarning[]
}

interface Kind {
  readonly kind: string
  readonly resource: {readonly group: string; readonly version: string; readonly resource: string}
  readonly namespaced: boolean
}

/** Agents first, what they need after them, the namespace last. */
const KINDS: readonly Kind[] = [
  {kind: 'DaemonSet', resource: RESOURCES.daemonsets, namespaced: true},
  {kind: 'ClusterRoleBinding', resource: RESOURCES.clusterrolebindings, namespaced: false},
  {kind: 'ClusterRole', resource: RESOURCES.clusterroles, namespaced: false},
  {kind: 'Role', resource: RESOURCES.roles, namespaced: true},
  {kind: 'ServiceAccount', resource: RESOURCES.serviceaccounts, namespaced: true},
  {kind: 'Namespace', resource: RESOURCES.namespaces, namespaced: false},
]

/** Reads only. @throws DeniedError names every rule that is missing */
export async function planUninstall({kube, signal}: InstallDeps, namespace: string): Promise<UninstallPlan> {
  await checkAccess(kube, needsOf(namespace), signal)
  const objects: OwnObject[] = []
  for (const {kind, resource, namespaced} of KINDS) {
    const where = {...resource, ...(namespaced ? {namespace} : {})}
    const {items} = await kube.list<KubeObject>(where, {labelSelector: ownSelector(namespace), signal})
    for (const object of items)
      objects.push({kind, path: {...where, name: object.metadata.name ?? ''}, object})
  }
  const {items} = await kube.list<Pod>(RESOURCES.pods, {metadataOnly: true, signal})
  const agents = items.filter(
    ({metadata}) => metadata.namespace === namespace && metadata.labels?.['app'] === DAEMON_NAME,
  )
  const enrolled = items.filter((pod) => isAnnotatedCaptured(pod.metadata.annotations)).length
  return {
    namespace,
    objects,
    nodeCount: agents.length,
    enrolled,
    warnings: enrolled === 0 ? [] : [stillEnrolled(enrolled)],
  }
}

function stillEnrolled(enrolled: number): ReportWarning {
  const pods = enrolled === 1 ? '1 enrolled pod goes' : `${enrolled} enrolled pods go`
  const message = `${pods} on without Kmesh: new connections are no longer redirected; labels stay, 'kmeshctl unenroll' removes them`
  return {code: 'PodsEnrolled', message}
}

function needsOf(namespace: string) {
  const own = KINDS.map(({resource, namespaced}) => ({
    verbs: ['get', 'list', 'delete'],
    group: resource.group,
    resource: resource.resource,
    ...(namespaced ? {namespace} : {}),
  }))
  return [
    ...own,
    {verbs: ['patch'], group: 'apps', resource: 'daemonsets', namespace},
    {verbs: ['list'], group: '', resource: 'pods'},
    {verbs: ['list'], group: '', resource: 'nodes'},
  ]
}

export function objectItem(
  {kind, object}: OwnObject,
  state: InstallItem['state'],
  code: string | null,
): InstallItem {
  const {namespace = null, name = ''} = object.metadata
  return {kind, namespace, name, state, code, message: null, changes: []}
}

export interface Removed {
  readonly items: readonly InstallItem[]
  readonly errors: readonly ReportError[]
  readonly warnings: readonly ReportWarning[]
}

/** One object that cannot be deleted stops no other one, but agents that still run keep what they need. */
export async function removeObjects(
  deps: InstallDeps,
  plan: UninstallPlan,
  timeoutMs: number,
): Promise<Removed> {
  const items: InstallItem[] = []
  const errors: ReportError[] = []
  const warnings: ReportWarning[] = []
  for (const own of plan.objects) {
    try {
      const kept =
        own.kind === 'Namespace' ? await foreignContent(deps.kube, plan.namespace, deps.signal) : []
      if (kept.length > 0) {
        warnings.push(keptWarning(plan.namespace, kept))
        items.push(objectItem(own, 'kept', 'NotEmpty'))
        continue
      }
      await removeObject(deps, own, plan.namespace)
      const left = await leftAfter(deps, own, timeoutMs)
      if (left !== undefined) throw lateEnd(left)
      items.push(objectItem(own, 'deleted', null))
    } catch (thrown) {
      const error = reportErrorOf(thrown, {namespace: plan.namespace})
      errors.push(error)
      items.push({...objectItem(own, 'failed', error.code), message: error.message})
      if (own.kind === 'DaemonSet') break
    }
  }
  const done = new Set(items.map(({kind, name}) => `${kind}/${name}`))
  const skipped = plan.objects.filter(({kind, path}) => !done.has(`${kind}/${path.name}`))
  for (const own of skipped) items.push(objectItem(own, 'skipped', 'AgentsRun'))
  return {items, errors, warnings}
}

const LOOK_MS = 300

/**
 * Waits for the agents' end, since they need account and roles until then, and for the namespace's, since nothing can be
 * installed into one that is going.
 * @returns what is left when time is up
 */
async function leftAfter(
  deps: InstallDeps,
  {kind, path, object}: OwnObject,
  timeoutMs: number,
): Promise<string | undefined> {
  const {kube, clock, signal} = deps
  if (kind !== 'DaemonSet' && kind !== 'Namespace') return undefined
  const look = async (): Promise<string | undefined> => {
    if (kind === 'Namespace')
      return (await findObject(kube, path, signal)) && `namespace ${path.name} is going still`
    const {length} = await podsOf(kube, object as DaemonSet, signal)
    return length === 0 ? undefined : `${length} pods of the DaemonSet have not ended`
  }
  const deadlineMs = clock.monotonicMs() + timeoutMs
  for (;;) {
    const left = await look()
    if (left === undefined || clock.monotonicMs() >= deadlineMs) return left
    await clock.sleep(LOOK_MS, signal)
  }
}

function lateEnd(left: string): TimeoutError {
  return new TimeoutError(left, {hints: ['run the command again, it goes on where it stopped']})
}

/** Looks again just before: what has the name by now may be somebody else's. */
async function removeObject({kube, signal}: InstallDeps, own: OwnObject, install: string): Promise<void> {
  try {
    const now = await kube.get<KubeObject>(own.path, {signal})
    if (now.metadata.uid !== own.object.metadata.uid || installOf(now) !== install) return
    await kube.delete(own.path, {signal})
  } catch (error) {
    if (!(error instanceof KubeStatusError && error.status === 404)) throw error
  }
}

/** Kinds that hold somebody's work or data. */
const CONTENT: readonly (readonly [string, ResourcePath])[] = [
  ['Deployment', RESOURCES.deployments],
  ['DaemonSet', RESOURCES.daemonsets],
  ['Pod', RESOURCES.pods],
  ['Service', RESOURCES.services],
  ['ConfigMap', RESOURCES.configmaps],
  ['Secret', RESOURCES.secrets],
  ['ServiceAccount', RESOURCES.serviceaccounts],
  ['Role', RESOURCES.roles],
  ['RoleBinding', RESOURCES.rolebindings],
]
/** Every namespace has these by itself. */
const EVERYWHERE = ['ConfigMap/kube-root-ca.crt', 'ServiceAccount/default']

/** Names of what is in the namespace and was not made by this install; a kind that may not be listed counts as there. */
async function foreignContent(kube: Kube, namespace: string, signal: AbortSignal): Promise<string[]> {
  const found: string[] = []
  for (const [kind, resource] of CONTENT) {
    try {
      const {items} = await kube.list<KubeObject>({...resource, namespace}, {metadataOnly: true, signal})
      const foreign = items.filter((object) => installOf(object) !== namespace)
      found.push(...foreign.map(({metadata}) => `${kind}/${metadata.name}`))
    } catch (error) {
      if (!(error instanceof DeniedError)) throw error
      found.push(`${kind} (not permitted to list)`)
    }
  }
  return found.filter((name) => !EVERYWHERE.includes(name))
}

const SHOWN = 5

function keptWarning(namespace: string, content: readonly string[]): ReportWarning {
  const names = `${content.slice(0, SHOWN).join(', ')}${content.length > SHOWN ? ', ...' : ''}`
  return {code: 'NamespaceKept', message: `namespace ${namespace} stays, it holds more: ${names}`}
}
