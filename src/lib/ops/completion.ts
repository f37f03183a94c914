// SPDX-License-Identifier: Apache-2.0
/** Names for completion: short reads, metadata only, of one daemon at most. */
import {KmeshError} from '../errors.ts'
import {RESOURCES} from '../model/kube.ts'
import type {Admin, Kube, ResourcePath} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import {findDaemons, kubeOf} from './daemons.ts'

export async function objectNames(kube: Kube, path: ResourcePath, signal: AbortSignal): Promise<string[]> {
  const {items} = await kube.list(path, {metadataOnly: true, signal})
  return items.flatMap(({metadata}) => (metadata?.name === undefined ? [] : [metadata.name]))
}

export function nodeNames(access: DaemonAccess): Promise<string[]> {
  return objectNames(kubeOf(access), RESOURCES.nodes, access.signal)
}

export function loggerNames(access: DaemonAccess): Promise<readonly string[]> {
  return askOne(access, (admin) => admin.call('loggers', {}, {signal: access.signal}))
}

/** Only our agent can tell; what a Go daemon has is known without asking. */
export async function mapNames(access: DaemonAccess): Promise<string[]> {
  const maps = await askOne(access, (admin) => admin.call('maps', {}, {signal: access.signal}))
  return maps.filter(({readable}) => readable).map(({name}) => name)
}

/** Pods, and the Deployments that stand for one of theirs. */
export async function sandboxPodNames(
  kube: Kube,
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<string[]> {
  const found = await Promise.all([
    objectNames(kube, {...RESOURCES.deployments, namespace}, signal),
    objectNames(kube, {...RESOURCES.pods, namespace}, signal),
  ])
  return found.flat()
}

/** Any daemon of those that the command is about, a ready one first. */
async function askOne<T>(access: DaemonAccess, job: (admin: Admin) => Promise<T>): Promise<T> {
  const {found} = await findDaemons(access)
  const daemon = found.find(({ready}) => ready) ?? found[0]
  if (daemon === undefined) throw new KmeshError('there is no daemon to ask', {code: 'NoDaemon'})
  return job(access.dialer.dial(daemon.target))
}
