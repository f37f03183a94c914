// SPDX-License-Identifier: Apache-2.0
/** Empties a namespace that is being deleted, then lets it go. */
import {KubeStatusError} from '../../errors.ts'
import {type KubeObject, RESOURCES} from '../../model/kube.ts'
import type {Kube, ResourcePath} from '../../ports.ts'
import type {ControllerContext} from './context.ts'
import {createWorkQueue} from './work-queue.ts'

/** Owners before what they own, or they would make it anew. */
const CONTENT: readonly ResourcePath[] = [
  RESOURCES.deployments,
  RESOURCES.replicasets,
  RESOURCES.daemonsets,
  RESOURCES.services,
  RESOURCES.endpointslices,
  RESOURCES.configmaps,
  RESOURCES.secrets,
  RESOURCES.rolebindings,
  RESOURCES.roles,
  RESOURCES.leases,
  RESOURCES.serviceaccounts,
  RESOURCES.pods,
  RESOURCES.events,
]
const LOOK_AGAIN_MS = 200

/** @returns function that stops it */
export function startNamespaceController({view, kube, clock, log}: ControllerContext): () => void {
  const queue = createWorkQueue('namespace deletion', clock, log, async (name) => {
    const namespace = view.namespaces.get(name)
    if (namespace?.metadata.deletionTimestamp === undefined) return
    const left = await emptied(kube, name)
    if (left > 0) queue.addLater(name, LOOK_AGAIN_MS)
    else await finalize(kube, name)
  })
  view.namespaces.onChange((namespace, _, isDeleted) => {
    if (!isDeleted && namespace.metadata.deletionTimestamp !== undefined)
      queue.add(namespace.metadata.name ?? '')
  })
  return queue.close
}

/** Asks for the deletion of everything inside; returns how many objects there still were. */
async function emptied(kube: Kube, namespace: string): Promise<number> {
  let left = 0
  for (const resource of [...(await customResources(kube)), ...CONTENT]) {
    const {items} = await kube.list<KubeObject>({...resource, namespace}, {metadataOnly: true})
    left += items.length
    const standing = items.filter(({metadata}) => metadata.deletionTimestamp === undefined)
    await Promise.all(
      standing.map(({metadata}) => removeOne(kube, {...resource, namespace, name: metadata.name ?? ''})),
    )
  }
  return left
}

interface Definition extends KubeObject {
  readonly spec?: {
    readonly group: string
    readonly scope: string
    readonly names: {readonly plural: string}
    readonly versions: readonly {readonly name: string; readonly served: boolean}[]
  }
}

/** What definitions add to the kinds of a namespace, each in a version that is served. */
async function customResources(kube: Kube): Promise<ResourcePath[]> {
  const {items} = await kube.list<Definition>(RESOURCES.customresourcedefinitions)
  return items.flatMap(({spec}) => {
    const version = spec?.versions.find(({served}) => served)?.name
    if (spec?.scope !== 'Namespaced' || version === undefined) return []
    return [{group: spec.group, version, resource: spec.names.plural}]
  })
}

async function removeOne(kube: Kube, path: ResourcePath): Promise<void> {
  try {
    await kube.delete(path)
  } catch (thrown) {
    if (!(thrown instanceof KubeStatusError && thrown.status === 404)) throw thrown
  }
}

async function finalize(kube: Kube, name: string): Promise<void> {
  try {
    const namespace = await kube.get<KubeObject & {spec?: object}>({...RESOURCES.namespaces, name})
    const done = {...namespace, spec: {...namespace.spec, finalizers: []}}
    await kube.update({...RESOURCES.namespaces, name, subresource: 'finalize'}, done)
  } catch (thrown) {
    if (!(thrown instanceof KubeStatusError && thrown.status === 404)) throw thrown
  }
}
