// SPDX-License-Identifier: Apache-2.0
/** Options of the agent: flags, each with an environment variable, checked once. */
import {isAbsolute, join} from 'node:path'
import {parseArgs} from 'node:util'
import {messageOf, UsageError} from '../errors.ts'
import type {Backend, ExistingPods, SidecarPolicy} from '../model/api.ts'
import {mapRow} from '../model/maps.ts'
import type {PodIdentity} from './enroll-parts.ts'
import {type LogLevel, parseLogLevel} from './log-format.ts'
import {ROWS} from './option-rows.ts'
import type {StatusAddress} from './status-server.ts'

export interface AgentOptions {
  readonly command: 'run' | 'uninstall' | 'help' | 'version'
  readonly mode: 'dual-engine'
  readonly backend: Backend
  readonly bpfFsPath: string
  readonly cgroup2Path: string
  readonly nodeName: string
  /** Undefined: the service account of the pod. */
  readonly kubeconfig: string | undefined
  readonly adminHost: string
  readonly adminPort: number
  /** Undefined: off. */
  readonly statusAddress: StatusAddress | undefined
  readonly stateDir: string
  readonly procPath: string
  readonly existingPods: ExistingPods
  readonly sidecarPolicy: SidecarPolicy
  readonly identity: PodIdentity
  readonly netClsPath: string
  readonly pods: 'all' | 'node'
  readonly mapSizes: Readonly<Record<string, number>>
  readonly takeOver: boolean
  readonly persistSettings: boolean
  readonly clusterDomain: string
  /** `uninstall` stays when it is done, until it is ended. */
  readonly hold: boolean
  /** Undefined: the one that comes with the program. */
  readonly bpfObject: string | undefined
  readonly logLevel: LogLevel
  /** Absolute, as the node sees it, like all paths below. */
  readonly runDir: string
  /** Undefined: everything about CNI is off. */
  readonly cni: CniOptions | undefined
}

export interface CniOptions {
  readonly etcPath: string
  /** Undefined: the lexically first usable one. */
  readonly conflistName: string | undefined
  readonly binPath: string
  readonly runtimePath: string
  readonly failurePolicy: 'fail' | 'ignore'
}

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>
export type Environment = Readonly<Record<string, string | undefined>>

/** @throws UsageError for anything that is not known or not valid */
export function parseOptions(args: readonly string[], env: Environment): AgentOptions {
  const {values, positionals} = parse(args)
  const read = (flag: string): string | undefined => {
    const known = ROWS.find((entry) => entry.flag === flag)
    const given = values[flag]
    return (typeof given === 'string' ? given : undefined) ?? (env[known?.env ?? ''] || known?.fallback)
  }
  const text = (flag: string) => read(flag) ?? ''
  const command = commandOf(values, positionals)
  const [adminHost, adminPort] = adminAddress(text('admin-address'))
  const nodeName = text('node-name')
  if (command === 'run' && nodeName === '') throw bad('node-name', 'is required (or NODE_NAME)')
  return {
    command,
    mode: oneOf('mode', text('mode'), ['dual-engine']),
    backend: oneOf('backend', text('backend'), ['kernel', 'memory']),
    bpfFsPath: absolute('bpf-fs-path', text('bpf-fs-path')),
    cgroup2Path: absolute('cgroup2-path', text('cgroup2-path')),
    nodeName,
    kubeconfig: read('kubeconfig'),
    adminHost,
    adminPort,
    statusAddress: statusAddress(text('status-address')),
    stateDir: absolute('state-dir', text('state-dir')),
    procPath: absolute('proc-path', text('proc-path')),
    existingPods: oneOf('existing-pods', text('existing-pods'), ['live', 'untouched']),
    sidecarPolicy: oneOf('sidecar-policy', text('sidecar-policy'), ['bypass', 'exclude']),
    identity: oneOf('identity', text('identity'), ['netns', 'classid']),
    netClsPath: absolute('net-cls-path', text('net-cls-path')),
    pods: oneOf('pods', text('pods'), ['all', 'node']),
    mapSizes: mapSizes(values['map-size'], env['KMESH_MAP_SIZE']),
    takeOver: isOn('take-over', values, env['KMESH_TAKE_OVER']),
    persistSettings: isOn('persist-settings', values, env['KMESH_PERSIST_SETTINGS']),
    hold: isOn('hold', values, env['KMESH_HOLD']),
    clusterDomain: text('cluster-domain'),
    bpfObject: read('bpf-object'),
    logLevel: logLevel(text('log-level')),
    runDir: absolute('run-dir', text('run-dir')),
    cni: oneOf('cni', text('cni'), ['on', 'off']) === 'on' ? cniOptions(text, read) : undefined,
  }
}

function cniOptions(text: (flag: string) => string, read: (flag: string) => string | undefined): CniOptions {
  const binPath = absolute('cni-bin-path', text('cni-bin-path'))
  const runtimePath = read('cni-runtime-path') ?? join(binPath, '.kmesh-cni')
  return {
    etcPath: absolute('cni-etc-path', text('cni-etc-path')),
    conflistName: conflistName(read('conflist-name')),
    binPath,
    runtimePath: absolute('cni-runtime-path', runtimePath),
    failurePolicy: oneOf('cni-failure-policy', text('cni-failure-policy'), ['fail', 'ignore']),
  }
}

/** CNI runtimes read lists from files of this ending only. */
function conflistName(name: string | undefined): string | undefined {
  if (name === undefined || /^[^/]+\.conflist$/.test(name)) return name
  throw bad('conflist-name', `'${name}' is not the name of a .conflist file`)
}

function parse(args: readonly string[]) {
  const options: Record<string, {type: 'string' | 'boolean'; multiple?: boolean; short?: string}> = {
    help: {type: 'boolean', short: 'h'},
    version: {type: 'boolean'},
  }
  for (const {flag, value} of ROWS) {
    options[flag] = {type: value === undefined ? 'boolean' : 'string', multiple: flag === 'map-size'}
  }
  try {
    return parseArgs({args: [...args], options, allowPositionals: true, strict: true})
  } catch (error) {
    throw new UsageError(messageOf(error), {hints: ['kmesh-daemon --help lists the options']})
  }
}

function commandOf(values: Values, positionals: readonly string[]): AgentOptions['command'] {
  if (values['help'] === true) return 'help'
  if (values['version'] === true) return 'version'
  const [command, ...rest] = positionals
  if (command === undefined) return 'run'
  if (command !== 'uninstall' || rest.length > 0) {
    throw new UsageError(`unexpected argument '${rest[0] ?? command}'`, {
      hints: ['kmesh-daemon --help lists the commands'],
    })
  }
  return 'uninstall'
}

const LOCAL_HOSTS = ['127.0.0.1', 'localhost', '::1']

function hostAndPort(flag: string, text: string): StatusAddress {
  const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const port = Number(found?.[3] ?? -1)
  if (found === null || port > 65_535) throw bad(flag, `'${text}' is not HOST:PORT`)
  return {host: found[1] ?? found[2] ?? '', port}
}

function statusAddress(text: string): StatusAddress | undefined {
  return text === 'off' ? undefined : hostAndPort('status-address', text)
}

function adminAddress(text: string): [string, number] {
  const {host, port} = hostAndPort('admin-address', text)
  if (!LOCAL_HOSTS.includes(host)) {
    throw bad('admin-address', `'${host}' is not local: the admin API has no credentials`)
  }
  // IPv4, as Go daemons choose it: a port-forward dials 127.0.0.1.
  return [host === 'localhost' ? '127.0.0.1' : host, port]
}

function mapSizes(flags: Values[string], env: string | undefined): Record<string, number> {
  const given = Array.isArray(flags)
    ? flags.map(String)
    : (env ?? '').split(',').filter((part) => part !== '')
  const sizes: Record<string, number> = {}
  for (const part of given) {
    const [name = '', count = ''] = part.split('=')
    if (mapRow(name)?.key === undefined) throw bad('map-size', `there is no map '${name}' that has a size`)
    if (!/^[1-9]\d{0,8}$/.test(count)) throw bad('map-size', `'${part}' is not NAME=N`)
    sizes[name] = Number(count)
  }
  return sizes
}

function oneOf<T extends string>(flag: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value)
  if (found === undefined) throw bad(flag, `'${value}' is not one of ${allowed.join(', ')}`)
  return found
}

function absolute(flag: string, path: string): string {
  if (!isAbsolute(path)) throw bad(flag, `'${path}' is not an absolute path`)
  return path
}

function logLevel(text: string): LogLevel {
  const level = parseLogLevel(text)
  if (level === undefined) throw bad('log-level', `'${text}' is not a level`)
  return level
}

function isOn(flag: string, values: Values, env: string | undefined): boolean {
  if (values[flag] === true) return true
  return (
    env !== undefined &&
    env !== '' &&
    oneOf(flag, env, ['true', 'false', '1', '0']) !== 'false' &&
    env !== '0'
  )
}

function bad(flag: string, what: string): UsageError {
  return new UsageError(`--${flag}: ${what}`, {parameter: flag})
}
