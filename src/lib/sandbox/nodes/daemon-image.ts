// SPDX-License-Identifier: Apache-2.0
/**
 * `image: kmesh-daemon`, in whatever registry: this machine's agent. Containers of the sandbox have no file system of
 * their own, so paths in the arguments that lie in a hostPath volume become those that the node has in their place.
 */
import {join} from 'node:path'
import type {Container, Pod} from '../../model/kube.ts'
import {cniFolders} from './cni-conflist.ts'
import {DAEMON_USER, daemonFiles} from './daemon-pod.ts'
import {standInName} from './memory-machine.ts'
import type {NodeContext} from './node-context.ts'

const IMAGE = /^(?:[\w.:-]+\/)*kmesh-daemon(?:[:@][\w.:-]+)?$/
const ADMIN_PORT = 15_200
const STATUS_PORT = 15_020

interface Volumes {
  readonly volumes?: readonly {readonly name: string; readonly hostPath?: {readonly path: string}}[]
}

interface Mounts {
  readonly volumeMounts?: readonly {readonly name: string; readonly mountPath: string}[]
  readonly securityContext?: {readonly capabilities?: {readonly add?: readonly string[]}}
}

/** The container as it can run on this node; those of other images stay as they are. */
export function onThisNode(node: NodeContext, pod: Pod, container: Container): Container {
  const {daemonProgram} = node
  if (daemonProgram === undefined || container.command !== undefined || !IMAGE.test(container.image ?? '')) {
    return container
  }
  const places = placesOf(node, pod, container)
  const given = (container.args ?? []).map((argument) => moved(argument, places))
  const command = [...(node.backend === 'kernel' ? limits(container as Mounts) : []), daemonProgram]
  return {...container, command, args: [...given, ...nodeOptions(node, pod)]}
}

/** Becomes a program that has no capabilities but those that the container adds: what is missing there is missing here. */
function limits(container: Mounts): string[] {
  const added = container.securityContext?.capabilities?.add
  if (added === undefined) return []
  const set = ['-all', ...added.map((name) => `+${name.toLowerCase()}`)].join(',')
  return ['setpriv', `--bounding-set=${set}`, '--inh-caps=-all', '--']
}

interface Place {
  readonly from: string
  readonly to: string
}

/** Mount paths of the container and what the node has there; the longest first. */
function placesOf(node: NodeContext, pod: Pod, container: Container): Place[] {
  const hostPaths = new Map(
    ((pod.spec as Volumes | undefined)?.volumes ?? []).map(({name, hostPath}) => [name, hostPath?.path]),
  )
  const known = nodePaths(node)
  return ((container as Mounts).volumeMounts ?? [])
    .flatMap(({name, mountPath}) => {
      const to = known[hostPaths.get(name) ?? '']
      return to === undefined ? [] : [{from: mountPath, to}]
    })
    .sort((left, right) => right.from.length - left.from.length)
}

/** Paths of a real node -> where the sandbox's node has it. */
function nodePaths(node: NodeContext): Readonly<Record<string, string>> {
  const {configDir, programDir, runDir} = cniFolders(node.paths, node.name)
  return {
    '/proc': '/proc',
    '/sys/fs/bpf': node.backend === 'memory' ? `/memory/${node.name}` : node.bpfDir,
    '/sys/fs/cgroup': node.backend === 'memory' ? `/memory/${node.name}` : node.cgroup,
    '/var/lib/kmesh': daemonFiles(node, '').stateDir,
    '/var/run/kmesh': runDir,
    '/etc/cni/net.d': configDir,
    '/opt/cni/bin': programDir,
  }
}

/** `--name=/mount/path/more` or the path alone. */
function moved(argument: string, places: readonly Place[]): string {
  const [, head = '', path = ''] = /^(--[\w-]+=)?(.*)$/s.exec(argument) ?? []
  const place = places.find(({from}) => path === from || path.startsWith(`${from}/`))
  return place === undefined ? argument : `${head}${join(place.to, path.slice(place.from.length))}`
}

/** What a pod finds in its file system, and the ports that stand in for its own. */
function nodeOptions(node: NodeContext, pod: Pod): string[] {
  const {namespace} = pod.metadata
  const account = `system:serviceaccount:${namespace}:${pod.spec?.serviceAccountName}`
  const credentials = account === DAEMON_USER ? [`--kubeconfig=${daemonFiles(node, '').kubeconfig}`] : []
  if (node.backend === 'kernel') return credentials
  const local = (port: number): string => `127.0.0.1:$(${standInName(port)})`
  return [
    ...credentials,
    '--backend=memory',
    '--cni=off',
    `--admin-address=${local(ADMIN_PORT)}`,
    `--status-address=${local(STATUS_PORT)}`,
  ]
}
