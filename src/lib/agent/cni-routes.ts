// SPDX-License-Identifier: Apache-2.0
/** What the agent does when kmesh-cni asks. */
import {KmeshError} from '../errors.ts'
import type {EnrollmentEntry} from '../model/api.ts'
import {CNI_PATHS, type CniAddReply, type CniPodRequest, type CniStatusReply} from '../model/cni.ts'
import type {Log} from '../ports.ts'
import type {Attachments, PodAttachment} from './cni-attachments.ts'
import {gcRequest, podRequest} from './cni-request.ts'

interface PodPlace {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly netnsPath: string
}

/** The enroller as CNI needs it. */
export interface CniEnroller {
  addPod(request: PodPlace): Promise<CniAddReply>
  removePod(request: PodPlace): Promise<void>
  /** Every pod of the node; `captured` is the kernel's word. */
  report(): readonly EnrollmentEntry[]
}

export interface CniRouteParts {
  readonly enroller: CniEnroller
  readonly attachments: Attachments
  /**
   * A path of the host, as this process reaches it.
   * @throws KmeshError `BadNetns` where there is no network namespace
   */
  readonly reachNetns: (path: string) => string
  /** Why pods cannot be enrolled now; undefined when they can. */
  readonly obstacle: () => string | undefined
  readonly log: Log
}

/** @param body - the whole request body @returns what is answered as JSON @throws KmeshError */
export type CniRoute = (body: string) => Promise<object>

/** By `METHOD /path`. */
export function createCniRoutes(parts: CniRouteParts): ReadonlyMap<string, CniRoute> {
  return new Map<string, CniRoute>([
    [`POST ${CNI_PATHS.add}`, (body) => add(parts, podRequest(body, false))],
    [`POST ${CNI_PATHS.check}`, (body) => check(parts, podRequest(body, false))],
    [`POST ${CNI_PATHS.del}`, (body) => remove(parts, podRequest(body, true))],
    [`POST ${CNI_PATHS.gc}`, (body) => collect(parts, body)],
    [`GET ${CNI_PATHS.status}`, async () => status(parts)],
  ])
}

function status({obstacle}: CniRouteParts): CniStatusReply {
  const message = obstacle()
  return {ready: message === undefined, message: message ?? ''}
}

async function add(parts: CniRouteParts, request: CniPodRequest): Promise<CniAddReply> {
  refuseWhenStarting(parts)
  const netnsPath = parts.reachNetns(request.netns)
  const attachment = attachmentOf(request, netnsPath)
  parts.attachments.set(attachment)
  const {enrolled, rule, cookie} = await parts.enroller.addPod(placeOf(attachment))
  return {enrolled, rule, cookie}
}

/** Asks the kernel, changes nothing. */
async function check(parts: CniRouteParts, request: CniPodRequest): Promise<CniAddReply> {
  refuseWhenStarting(parts)
  const {namespace, name, uid} = request
  const named = parts.enroller.report().filter((entry) => entry.namespace === namespace && entry.pod === name)
  // The API server knows a static pod by another uid; its attachment tells that it is this one.
  const isOurs = uid === '' || parts.attachments.get(request)?.uid === uid
  const found = named.find((entry) => entry.uid === uid) ?? (isOurs ? named[0] : undefined)
  if (found === undefined) {
    throw new KmeshError(`pod ${namespace}/${name} is not known`, {code: 'PodNotFound'})
  }
  if (found.intent && !found.captured) {
    throw new KmeshError(`the kernel does not have pod ${namespace}/${name}`, {code: 'NotCaptured'})
  }
  return {enrolled: found.captured, rule: found.rule, cookie: found.cookie}
}

async function remove(parts: CniRouteParts, request: CniPodRequest): Promise<object> {
  const known = parts.attachments.get(request)
  const given = request.netns === '' ? undefined : reachOrAsGiven(parts, request.netns)
  const place = known ?? (given === undefined ? undefined : attachmentOf(request, given))
  // Without any namespace it cannot be told from another sandbox of the same pod: the watch will tell.
  if (place !== undefined) await parts.enroller.removePod(placeOf(place))
  parts.attachments.delete(request)
  return {}
}

/** On the way out the namespace may be gone. */
function reachOrAsGiven({reachNetns}: CniRouteParts, path: string): string {
  try {
    return reachNetns(path)
  } catch {
    return path
  }
}

/** Only what came through CNI in this network is given up; pods that were there before it have no attachment. */
async function collect(parts: CniRouteParts, body: string): Promise<object> {
  const {network, attachments: valid} = gcRequest(body)
  const stale = parts.attachments.stale(network, valid)
  for (const one of stale) {
    const {namespace, name, containerId} = one
    await parts.enroller.removePod(placeOf(one))
    parts.attachments.delete(one)
    parts.log.info(`the runtime no longer has container ${containerId} of pod ${namespace}/${name}`)
  }
  return {collected: stale.length}
}

function refuseWhenStarting({obstacle}: CniRouteParts): void {
  const message = obstacle()
  if (message !== undefined) throw new KmeshError(message, {code: 'Starting'})
}

function attachmentOf(request: CniPodRequest, netnsPath: string): PodAttachment {
  const {containerId, ifName, network, namespace, name, uid} = request
  return {containerId, ifName, network, namespace, name, uid, netnsPath}
}

function placeOf({namespace, name, uid, netnsPath}: PodPlace): PodPlace {
  return {namespace, name, uid, netnsPath}
}
