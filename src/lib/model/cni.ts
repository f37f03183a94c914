// SPDX-License-Identifier: Apache-2.0
/** What kmesh-cni and the agent tell each other: requests over the socket, and the file that speaks for an agent that is away. */
import {LayoutError, messageOf} from '../errors.ts'
import type {SidecarPolicy} from './api.ts'
import {isFields} from './hostile.ts'

export const CNI_SOCKET = 'cni.sock'
export const CNI_CACHE_FILE = 'cni-cache.json'

export const CNI_PATHS = {
  add: '/cni/add',
  check: '/cni/check',
  del: '/cni/del',
  gc: '/cni/gc',
  status: '/cni/status',
} as const

/** One interface of one container, as the runtime names it. */
export interface CniAttachment {
  readonly containerId: string
  readonly ifName: string
}

/** Body of add, check and del. */
export interface CniPodRequest extends CniAttachment {
  /** Absolute, as the host sees it; empty in a del whose namespace is gone. */
  readonly netns: string
  /** Name of the network's configuration: garbage is collected network by network. */
  readonly network: string
  readonly namespace: string
  readonly name: string
  /** Empty where the runtime does not tell it. */
  readonly uid: string
}

export interface CniGcRequest {
  readonly network: string
  /** What is still there; everything else of the network is gone. */
  readonly attachments: readonly CniAttachment[]
}

/** Answer of add and check: the kernel has the pod, or need not have it. */
export interface CniAddReply {
  readonly enrolled: boolean
  /** Code of the enrollment rule. */
  readonly rule: string
  readonly cookie: string | null
}

export interface CniStatusReply {
  readonly ready: boolean
  /** Why not; empty when ready. */
  readonly message: string
}

/** Which pods of the node are in the mesh, as the agent last knew it. */
export interface CniCache {
  readonly version: 1
  /** RFC 3339. */
  readonly writtenAt: string
  /** What becomes of pods with sidecars. */
  readonly sidecarPolicy: SidecarPolicy
  /** Those whose label enrolls. */
  readonly namespaces: readonly string[]
  /** By uid. */
  readonly pods: Readonly<Record<string, boolean>>
}

/** Longest path of Linux, with its closing zero. */
const MAX_PATH = 4096
const MAX_ID = 256
const MAX_IF_NAME = 15

/** As the CNI specification wants container ids and network names. */
export function isCniName(text: string): boolean {
  return text.length <= MAX_ID && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text)
}

/** As Linux takes names of interfaces. */
export function isInterfaceName(text: string): boolean {
  return (
    text.length > 0 && text.length <= MAX_IF_NAME && text !== '.' && text !== '..' && !/[/:\s\0]/.test(text)
  )
}

/** Absolute, printable and no longer than the kernel takes it. */
export function isPath(text: string): boolean {
  return text.startsWith('/') && Buffer.byteLength(text) < MAX_PATH && !/[\0-\x1f\x7f]/.test(text)
}

/** Names of pods and namespaces: RFC 1123 subdomain. */
export function isObjectName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text)
}

/** Uids as the API server and the kubelet (for static pods: a hash) make them. */
export function isUid(text: string): boolean {
  return text.length <= 64 && /^[A-Za-z0-9-]*$/.test(text)
}

/** @throws LayoutError where the text is not such a file */
export function parseCniCache(text: string): CniCache {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new LayoutError(`it is no JSON: ${messageOf(error)}`)
  }
  if (!isFields(value) || value['version'] !== 1) throw new LayoutError('its version is not 1')
  const {writtenAt, namespaces, pods} = value
  // Files of agents that did not tell are of those that left such pods out.
  const {sidecarPolicy = 'exclude'} = value
  if (sidecarPolicy !== 'exclude' && sidecarPolicy !== 'bypass') {
    throw new LayoutError('sidecarPolicy is neither bypass nor exclude')
  }
  if (typeof writtenAt !== 'string') throw new LayoutError('writtenAt is no text')
  if (!Array.isArray(namespaces) || !namespaces.every((name) => typeof name === 'string')) {
    throw new LayoutError('namespaces is no list of texts')
  }
  if (!isFields(pods) || !Object.values(pods).every((isIn) => typeof isIn === 'boolean')) {
    throw new LayoutError('pods does not tell yes or no by uid')
  }
  return {version: 1, writtenAt, sidecarPolicy, namespaces, pods: pods as Record<string, boolean>}
}
