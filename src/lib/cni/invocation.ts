// SPDX-License-Identifier: Apache-2.0
/** The CNI_* variables: what shall be done, with which container. */
import {isCniName, isInterfaceName, isObjectName, isPath, isUid} from '../model/cni.ts'
import {type CniCommand, CniError, CODE, COMMANDS} from './protocol.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Container {
  readonly containerId: string
  /** Empty where DEL is not told it. */
  readonly netns: string
  readonly ifName: string
}

export interface PodName {
  readonly namespace: string
  readonly name: string
  /** Empty where the runtime does not tell it. */
  readonly uid: string
}

const NAMESPACE = 'K8S_POD_NAMESPACE'
const NAME = 'K8S_POD_NAME'
const UID = 'K8S_POD_UID'
const KNOWN_ARGS = ['IgnoreUnknown', NAMESPACE, NAME, UID, 'K8S_POD_INFRA_CONTAINER_ID']
const MAX_ARGS = 64 * 1024

/** @throws CniError 4 */
export function commandOf(env: Environment): CniCommand {
  const given = env['CNI_COMMAND'] ?? ''
  if (given === '') throw wrong('CNI_COMMAND is missing: kmesh-cni is started by container runtimes')
  const command = COMMANDS.find((known) => known === given)
  if (command === undefined) throw wrong(`CNI_COMMAND '${given.slice(0, 100)}' is not known`)
  return command
}

/** @throws CniError 4 */
export function containerOf(env: Environment, command: CniCommand): Container {
  const netns = env['CNI_NETNS'] ?? ''
  const containerId = env['CNI_CONTAINERID'] ?? ''
  const ifName = env['CNI_IFNAME'] ?? ''
  const needed = {
    CNI_CONTAINERID: containerId,
    CNI_IFNAME: ifName,
    ...(command === 'DEL' ? {} : {CNI_NETNS: netns}),
  }
  const missing = Object.entries(needed).filter(([, value]) => value === '')
  if (missing.length > 0) throw wrong(`${missing.map(([name]) => name).join(', ')} missing`)
  if (!isCniName(containerId)) throw wrong('CNI_CONTAINERID is no container id')
  if (!isInterfaceName(ifName)) throw wrong('CNI_IFNAME is no name of an interface')
  if (netns !== '' && !isPath(netns)) throw wrong('CNI_NETNS is no absolute path')
  return {containerId, netns, ifName}
}

/**
 * The pod that CNI_ARGS names; undefined for containers that are not of Kubernetes.
 * @throws CniError 4
 */
export function podOf(env: Environment): PodName | undefined {
  const text = env['CNI_ARGS'] ?? ''
  // Without the names no rule about other arguments is ours to hold.
  if (!text.includes(NAME) || !text.includes(NAMESPACE)) return undefined
  const args = argsOf(text)
  const [namespace = '', name = '', uid = ''] = [NAMESPACE, NAME, UID].map((key) => args.get(key))
  if (namespace === '' || name === '') return undefined
  if (!isObjectName(namespace)) throw wrong(`CNI_ARGS: ${NAMESPACE} is no name of a namespace`)
  if (!isObjectName(name)) throw wrong(`CNI_ARGS: ${NAME} is no name of a pod`)
  if (!isUid(uid)) throw wrong(`CNI_ARGS: ${UID} is no uid`)
  return {namespace, name, uid}
}

/** `A=b;C=d`. Unknown names are an error unless `IgnoreUnknown` is true, as CNI libraries have it. */
function argsOf(text: string): ReadonlyMap<string, string> {
  if (text.length > MAX_ARGS) throw wrong(`CNI_ARGS is longer than ${MAX_ARGS} bytes`)
  const args = new Map<string, string>()
  for (const pair of text.split(';')) {
    const [key = '', value, ...rest] = pair.split('=')
    if (value === undefined || rest.length > 0)
      throw wrong(`CNI_ARGS: '${pair.slice(0, 100)}' is no KEY=VALUE`)
    args.set(key, value)
  }
  const unknown = [...args.keys()].filter((key) => !KNOWN_ARGS.includes(key))
  if (!isTrue(args.get('IgnoreUnknown')) && unknown.length > 0) {
    throw wrong(`CNI_ARGS: unknown ${unknown.join(', ').slice(0, 200)}, and IgnoreUnknown is not set`)
  }
  return args
}

function isTrue(value: string | undefined): boolean {
  const text = (value ?? '0').toLowerCase()
  if (['1', 'true'].includes(text)) return true
  if (['0', 'false'].includes(text)) return false
  throw wrong(`CNI_ARGS: IgnoreUnknown is '${text.slice(0, 100)}', not true or false`)
}

function wrong(message: string): CniError {
  return new CniError(CODE.environment, message)
}
