// SPDX-License-Identifier: Apache-2.0
/** Gives each namespace the service account `default`, again when it was deleted. */
import {KubeStatusError} from '../../errors.ts'
import {RESOURCES} from '../../model/kube.ts'
import type {ControllerContext} from './context.ts'
import {createWorkQueue} from './work-queue.ts'

const NAME = 'default'

/** @returns function that stops it */
export function startServiceAccountController({view, kube, clock, log}: ControllerContext): () => void {
  const queue = createWorkQueue('default service accounts', clock, log, async (namespace) => {
    const holder = view.namespaces.get(namespace)
    if (holder === undefined || holder.metadata.deletionTimestamp !== undefined) return
    try {
      const metadata = {name: NAME, namespace}
      await kube.create(
        {...RESOURCES.serviceaccounts, namespace},
        {apiVersion: 'v1', kind: 'ServiceAccount', metadata},
      )
    } catch (thrown) {
      // There already, or the namespace has gone meanwhile.
      if (!(thrown instanceof KubeStatusError && [403, 404, 409].includes(thrown.status))) throw thrown
    }
  })
  view.namespaces.onChange((namespace, previous) => {
    if (previous === undefined) queue.add(namespace.metadata.name ?? '')
  })
  view.serviceaccounts.onChange(({metadata}, _, isDeleted) => {
    if (isDeleted && metadata.name === NAME) queue.add(metadata.namespace ?? '')
  })
  return queue.close
}
