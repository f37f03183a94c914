// SPDX-License-Identifier: Apache-2.0
/** Keeps the EndpointSlices of each service that has a selector. */
import {isDeepStrictEqual} from 'node:util'
import {KubeStatusError} from '../../errors.ts'
import {type EndpointSlice, objectKey, type Pod, RESOURCES, type Service} from '../../model/kube.ts'
import type {Kube} from '../../ports.ts'
import {labelsMatch} from './apps.ts'
import type {ControllerContext} from './context.ts'
import {MANAGED_BY, MANAGED_BY_LABEL, planSlices, SERVICE_LABEL} from './endpoints-plan.ts'
import {createWorkQueue} from './work-queue.ts'

/** @returns function that stops it */
export function startEndpointSliceController(context: ControllerContext): () => void {
  const {view, clock, log} = context
  const queue = createWorkQueue('endpoint slices', clock, log, (key) => reconcile(context, key))
  const isReady = (): boolean => view.pods.synced && view.endpointslices.synced && view.services.synced
  const add = (key: string): void => {
    if (isReady()) queue.add(key)
  }
  const addAll = (): void => {
    for (const service of view.services.values()) add(objectKey(service))
    for (const slice of view.endpointslices.values()) if (isOurs(slice)) add(serviceKey(slice))
  }
  for (const shared of [view.pods, view.endpointslices, view.services]) shared.onSynced(addAll)
  view.services.onChange((service) => add(objectKey(service)))
  view.endpointslices.onChange((slice) => {
    if (isOurs(slice)) add(serviceKey(slice))
  })
  view.pods.onChange((pod, previous) => {
    for (const service of view.services.inNamespace(pod.metadata.namespace ?? '')) {
      if (selects(service, pod) || (previous !== undefined && selects(service, previous)))
        add(objectKey(service))
    }
  })
  return queue.close
}

function isOurs(slice: EndpointSlice): boolean {
  return slice.metadata.labels?.[MANAGED_BY_LABEL] === MANAGED_BY
}

function serviceKey(slice: EndpointSlice): string {
  return `${slice.metadata.namespace}/${slice.metadata.labels?.[SERVICE_LABEL]}`
}

function selects(service: Service, pod: Pod): boolean {
  return labelsMatch(service.spec?.selector, pod.metadata.labels)
}

async function reconcile({view, kube}: ControllerContext, key: string): Promise<void> {
  const [namespace = ''] = key.split('/')
  const service = view.services.get(key)
  const present = new Map(
    [...view.endpointslices.inNamespace(namespace)]
      .filter((slice) => isOurs(slice) && serviceKey(slice) === key)
      .map((slice) => [slice.metadata.name ?? '', slice]),
  )
  const wanted = service === undefined ? [] : slicesFor(service, [...view.pods.inNamespace(namespace)])
  // First what is new, then what is gone: no moment without the endpoints that stay.
  for (const slice of wanted) await write(kube, slice, present.get(slice.metadata.name ?? ''))
  const names = new Set(wanted.map((slice) => slice.metadata.name))
  // Without a selector the slices are somebody else's, also those that were ours.
  if (service !== undefined && !hasSelector(service)) return
  for (const slice of present.values()) if (!names.has(slice.metadata.name)) await remove(kube, slice)
}

function hasSelector(service: Service): boolean {
  return Object.keys(service.spec?.selector ?? {}).length > 0
}

function slicesFor(service: Service, pods: readonly Pod[]): EndpointSlice[] {
  if (!hasSelector(service) || service.spec?.type === 'ExternalName') return []
  if (service.metadata.deletionTimestamp !== undefined) return []
  return planSlices(
    service,
    pods.filter((pod) => selects(service, pod)),
  )
}

async function write(kube: Kube, wanted: EndpointSlice, present: EndpointSlice | undefined): Promise<void> {
  const {name = '', namespace = ''} = wanted.metadata
  if (present !== undefined && present.metadata.deletionTimestamp === undefined) {
    const {endpoints, ports} = wanted
    const {labels} = wanted.metadata
    if (isSame(wanted, present)) return
    await kube.mergePatch(
      {...RESOURCES.endpointslices, namespace, name},
      {metadata: {labels}, endpoints, ports},
    )
    return
  }
  await kube.create({...RESOURCES.endpointslices, namespace}, wanted)
}

function isSame(wanted: EndpointSlice, present: EndpointSlice): boolean {
  return (
    isDeepStrictEqual(wanted.endpoints, present.endpoints ?? []) &&
    isDeepStrictEqual(wanted.ports, present.ports ?? []) &&
    isDeepStrictEqual(wanted.metadata.labels, present.metadata.labels)
  )
}

async function remove(kube: Kube, slice: EndpointSlice): Promise<void> {
  const {name = '', namespace = ''} = slice.metadata
  try {
    await kube.delete({...RESOURCES.endpointslices, namespace, name})
  } catch (thrown) {
    if (!(thrown instanceof KubeStatusError && thrown.status === 404)) throw thrown
  }
}
