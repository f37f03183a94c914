// SPDX-License-Identifier: Apache-2.0
/** One execution of a CNI plugin, by the protocol of CNI 1.0. */
import {join} from 'node:path'
import {CommandError, KmeshError, messageOf} from '../../errors.ts'
import type {Commands} from '../../ports.ts'
import {MARK} from '../state.ts'
import type {NetworkList, PluginConfig} from './cni-conflist.ts'
import type {PodPlace} from './network.ts'

/** What a kubelet's service has; the Node that runs us is not in it. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const TIMEOUT_MS = {ADD: 30_000, DEL: 10_000} as const
/** As long as the message of an Event may be. */
const MAX_MESSAGE = 1024

export type CniResult = Readonly<Record<string, unknown>>

export interface PluginCall {
  readonly command: 'ADD' | 'DEL'
  readonly list: NetworkList
  readonly plugin: PluginConfig
  readonly containerId: string
  readonly pod: PodPlace
  /** Path of the pod's network namespace. */
  readonly netns: string
  /** Undefined where there is none: the first plugin, or DEL after an ADD that failed. */
  readonly prevResult: CniResult | undefined
}

export interface PluginPlace {
  readonly commands: Commands
  readonly programDir: string
  /** Plugins run in the node's network, as a kubelet's do. */
  readonly namespacePath: string
  /** Name of the sandbox, so that nothing that a plugin leaves running outlives it. */
  readonly mark: string
}

/**
 * @returns the result of an ADD; of a DEL undefined
 * @throws KmeshError `CniPlugin` with the plugin's own words
 */
export async function callPlugin(place: PluginPlace, call: PluginCall): Promise<CniResult | undefined> {
  const {command, list, plugin, prevResult} = call
  const config = {
    ...plugin,
    name: list.name,
    cniVersion: list.cniVersion,
    ...(prevResult === undefined ? {} : {prevResult}),
  }
  try {
    const output = await place.commands.run({
      file: join(place.programDir, plugin.type),
      args: [],
      input: JSON.stringify(config),
      namespacePath: place.namespacePath,
      env: environmentOf(place, call),
      timeoutMs: TIMEOUT_MS[command],
    })
    return command === 'ADD' ? resultOf(output) : undefined
  } catch (error) {
    const message = `plugin ${plugin.type} failed (${command.toLowerCase()}): ${wordsOf(error)}`
    throw new KmeshError(message.slice(0, MAX_MESSAGE), {code: 'CniPlugin', cause: error})
  }
}

function environmentOf(place: PluginPlace, call: PluginCall): Record<string, string> {
  const {pod, containerId} = call
  const podArguments = {
    IgnoreUnknown: '1',
    K8S_POD_NAMESPACE: pod.namespace,
    K8S_POD_NAME: pod.name,
    K8S_POD_INFRA_CONTAINER_ID: containerId,
    K8S_POD_UID: pod.uid,
  }
  return {
    PATH,
    [MARK]: place.mark,
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: 'eth0',
    CNI_PATH: place.programDir,
    CNI_ARGS: Object.entries(podArguments)
      .map(([key, value]) => `${key}=${value}`)
      .join(';'),
  }
}

function resultOf(output: string): CniResult {
  const result: unknown = JSON.parse(output)
  if (typeof result === 'object' && result !== null && !Array.isArray(result)) return result as CniResult
  throw new KmeshError('its result is no object')
}

/** A plugin that fails prints `{"code","msg","details"}`. */
function wordsOf(error: unknown): string {
  if (!(error instanceof CommandError)) return messageOf(error)
  try {
    const {code, msg, details} = JSON.parse(error.stdout) as Record<string, unknown>
    if (typeof msg !== 'string') return messageOf(error)
    return `${msg}${typeof details === 'string' && details !== '' ? `: ${details}` : ''} (code ${code})`
  } catch {
    return messageOf(error) // It says nothing of its own: what it printed elsewhere, and its exit status.
  }
}
