// SPDX-License-Identifier: Apache-2.0
/** Would the pod be enrolled? Asked only when the agent does not tell. */
import {messageOf} from '../errors.ts'
import type {SidecarPolicy} from '../model/api.ts'
import {type CniCache, parseCniCache} from '../model/cni.ts'
import {DATAPLANE_KMESH, DATAPLANE_LABEL, decideEnrollment, type Labels} from '../model/enrollment.ts'
import type {Pod} from '../model/kube.ts'
import type {Log} from '../ports.ts'
import type {Config} from './config.ts'
import type {PodName} from './invocation.ts'
import type {CniParts, PodReader} from './parts.ts'

/** For pod and namespace each: a runtime waits meanwhile. */
const READ_TIMEOUT_MS = 1000
/** Set by the API server's mirror of a static pod; the runtime knows such a pod by this hash. */
const STATIC_POD_HASH = 'kubernetes.io/config.hash'

/** Of an agent that has left no file. */
const DEFAULT_POLICY: SidecarPolicy = 'bypass'

export interface Verdict {
  /** Undefined where nobody could tell. */
  readonly enroll: boolean | undefined
  /** Who said so. */
  readonly source: string
}

/** The file of the agent by pod, then the API server, then the file by namespace. Never throws. */
export async function judge(pod: PodName, config: Config, parts: CniParts, log: Log): Promise<Verdict> {
  const cache = readCache(config, parts, log)
  if (cache !== undefined && Object.hasOwn(cache.pods, pod.uid)) {
    return {enroll: cache.pods[pod.uid], source: `${config.cache}, by pod`}
  }
  const asked = await askCluster(pod, cache, config, parts, log)
  if (asked !== undefined) return {enroll: asked, source: 'the API server'}
  if (cache === undefined) return {enroll: undefined, source: 'nobody'}
  return {enroll: cache.namespaces.includes(pod.namespace), source: `${config.cache}, by namespace`}
}

function readCache({cache: path}: Config, parts: CniParts, log: Log): CniCache | undefined {
  try {
    const text = parts.readFile(path)
    if (text !== undefined) return parseCniCache(text)
    log.debug(`${path} is not there`)
  } catch (error) {
    log.warn(`${path} is not usable: ${messageOf(error)}`)
  }
  return undefined
}

async function askCluster(
  pod: PodName,
  cache: CniCache | undefined,
  {kubeconfig}: Config,
  parts: CniParts,
  log: Log,
): Promise<boolean | undefined> {
  if (kubeconfig === undefined) return undefined
  try {
    const cluster = parts.openCluster(kubeconfig)
    const found = await cluster.pod(pod.namespace, pod.name, READ_TIMEOUT_MS)
    if (!isSame(found, pod.uid)) throw new Error(`another pod has its name, uid ${found.metadata.uid}`)
    const labels = await labelsOf(pod.namespace, cache, cluster)
    return decideEnrollment(found, labels, cache?.sidecarPolicy ?? DEFAULT_POLICY).enroll
  } catch (error) {
    log.warn(`cannot read pod ${pod.namespace}/${pod.name} from the cluster: ${messageOf(error)}`)
    return undefined
  }
}

function isSame({metadata}: Pod, uid: string): boolean {
  return uid === '' || metadata.uid === uid || metadata.annotations?.[STATIC_POD_HASH] === uid
}

async function labelsOf(namespace: string, cache: CniCache | undefined, cluster: PodReader): Promise<Labels> {
  if (cache === undefined) return (await cluster.namespace(namespace, READ_TIMEOUT_MS)).metadata.labels
  return cache.namespaces.includes(namespace) ? {[DATAPLANE_LABEL]: DATAPLANE_KMESH} : {}
}
