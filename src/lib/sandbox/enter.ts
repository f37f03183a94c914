// SPDX-License-Identifier: Apache-2.0
/** `sandbox exec`: this process becomes the command, inside the pod. */
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {toolPath} from '../adapters/commands.ts'
import {restoreStandardStreams} from '../adapters/standard-streams.ts'
import {KmeshError, messageOf, UsageError} from '../errors.ts'
import type {Backend} from '../model/api.ts'
import {type ContainerRecord, type PodRecord, readPodRecords, type SandboxPaths} from './state.ts'

export interface EnterRequest {
  readonly paths: SandboxPaths
  /** In memory there is no cgroup, namespace or user to enter. */
  readonly backend: Backend
  /** Name of a pod, or of its Deployment: then the first pod that is Ready. */
  readonly pod: string
  /** Default: wherever the only pod of that name is. */
  readonly namespace: string | undefined
  readonly container: string | undefined
  readonly command: readonly string[]
}

/** Only returns by throwing: signals, terminal, standard streams and exit status are the command's own from here on. */
export function enterPod(request: EnterRequest): never {
  const pod = choosePod(readPodRecords(request.paths), request)
  const container = chooseContainer(pod, request.container)
  if (request.backend === 'memory') checkRuns(pod, container)
  else enterCgroup(pod, container)
  if (container.workingDir !== null) process.chdir(container.workingDir)
  restoreStandardStreams()
  process.removeAllListeners('warning')
  const line =
    request.backend === 'memory' ? plainLine(request.command) : commandLine(pod, container, request.command)
  process.execve?.('/usr/bin/env', line, environmentOf(container))
  throw new KmeshError('this Node has no process.execve', {code: 'Internal'})
}

function enterCgroup(pod: PodRecord, container: ContainerRecord): void {
  try {
    writeFileSync(join(container.cgroup, 'cgroup.procs'), String(process.pid))
  } catch (error) {
    throw notRunning(pod, container, error)
  }
}

function checkRuns(pod: PodRecord, container: ContainerRecord): void {
  if (container.pid === null) throw notRunning(pod, container, 'it has no process')
}

function notRunning(pod: PodRecord, container: ContainerRecord, cause: unknown): KmeshError {
  const why = container.message || messageOf(cause)
  return new KmeshError(`container ${container.name} of ${pod.namespace}/${pod.name} does not run: ${why}`, {
    code: 'ContainerNotRunning',
    cause,
  })
}

/** `env` looks the command up in the container's PATH. */
function plainLine(command: readonly string[]): string[] {
  const reset = process.platform === 'linux' ? ['--default-signal=PIPE'] : []
  return ['env', ...reset, '--', ...command]
}

/** The inner `env` looks the command up, and resets SIGPIPE: Node ignores it, which a command would inherit. */
function commandLine(pod: PodRecord, container: ContainerRecord, command: readonly string[]): string[] {
  const user =
    container.user === 0 && container.group === 0
      ? []
      : [
          toolPath('setpriv'),
          `--reuid=${container.user}`,
          `--regid=${container.group}`,
          '--clear-groups',
          '--',
        ]
  return [
    'env',
    toolPath('nsenter'),
    `--net=${pod.networkNamespace}`,
    '--',
    ...user,
    toolPath('env'),
    '--default-signal=PIPE',
    '--',
    ...command,
  ]
}

/** The container's, and what makes a terminal work. */
function environmentOf(container: ContainerRecord): Record<string, string> {
  const terminal = ['TERM', 'COLORTERM', 'LANG'].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return {...Object.fromEntries(terminal), ...container.env}
}

function choosePod(pods: readonly PodRecord[], request: EnterRequest): PodRecord {
  const {namespace} = request
  const inNamespace = pods.filter((pod) => namespace === undefined || pod.namespace === namespace)
  const wanted = request.pod.replace(/^(pod|pods|po|deployment|deployments|deploy)\//, '')
  const exact = inNamespace.filter((pod) => pod.name === wanted)
  const ofDeployment = inNamespace.filter(
    (pod) =>
      pod.name.startsWith(`${wanted}-`) && /^[a-z0-9]+(-[a-z0-9]+)?$/.test(pod.name.slice(wanted.length + 1)),
  )
  const found = exact.length > 0 ? exact : ofDeployment
  const namespaces = [...new Set(found.map((pod) => pod.namespace))]
  if (namespaces.length > 1) {
    throw new UsageError(`"${request.pod}" is in several namespaces: ${namespaces.join(', ')}`, {
      parameter: 'namespace',
      hints: ['use -n NAMESPACE'],
    })
  }
  const [first] = [...found].sort((a, b) => rank(a) - rank(b))
  if (first !== undefined) return first
  const where = namespace === undefined ? '' : ` in namespace ${namespace}`
  throw new KmeshError(`sandbox ${request.paths.name} runs no pod "${request.pod}"${where}`, {
    code: 'NotFound',
    hints: [
      pods.length === 0
        ? `kmeshctl sandbox status --name ${request.paths.name}`
        : `it runs ${pods.map((pod) => `${pod.namespace}/${pod.name}`).join(', ')}`,
    ],
  })
}

function rank(pod: PodRecord): number {
  return (pod.terminating ? 2 : 0) + (pod.ready ? 0 : 1)
}

function chooseContainer(pod: PodRecord, name: string | undefined): ContainerRecord {
  const found = name === undefined ? pod.containers[0] : pod.containers.find((entry) => entry.name === name)
  if (found !== undefined) return found
  throw new UsageError(`pod ${pod.namespace}/${pod.name} has no container "${name}"`, {
    parameter: 'container',
    hints: [`it has ${pod.containers.map((entry) => entry.name).join(', ')}`],
  })
}
