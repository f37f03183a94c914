// SPDX-License-Identifier: Apache-2.0
/** The network configuration on stdin. */
import {messageOf} from '../errors.ts'
import {type CniAttachment, isCniName, isInterfaceName, isPath} from '../model/cni.ts'
import {type Fields, isFields} from '../model/hostile.ts'
import {CniError, CODE} from './protocol.ts'
import {rawMember} from './raw-json.ts'

const FAILURE_POLICIES = ['fail', 'ignore'] as const
const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const
export type LogThreshold = (typeof LOG_LEVELS)[number]

/** Fields of ours; docs/cni.md describes them. */
export interface Settings {
  readonly socket: string
  readonly cache: string
  /** Undefined: nobody can be asked when agent and cache do not know a pod. */
  readonly kubeconfig: string | undefined
  readonly failurePolicy: (typeof FAILURE_POLICIES)[number]
  readonly timeoutMs: number
  readonly logFile: string
  readonly logLevel: LogThreshold
  readonly logMaxBytes: number
  readonly logFiles: number
}

export interface Config extends Settings {
  readonly cniVersion: string
  /** Of the network. */
  readonly name: string
  /** As it was written. Undefined where it is missing or null. */
  readonly prevResult: string | undefined
  /** Undefined where the runtime did not say what is valid. */
  readonly validAttachments: readonly CniAttachment[] | undefined
}

const RUN_DIRECTORY = '/var/run/kmesh'
const DEFAULT_TIMEOUT_SECONDS = 5
const MAX_TIMEOUT_SECONDS = 120
const DEFAULT_LOG_BYTES = 5 * 1024 * 1024
const MAX_LOG_BYTES = 1024 * 1024 * 1024
const DEFAULT_LOG_FILES = 3

/** @throws CniError 6 */
export function parseInput(bytes: Uint8Array): {readonly text: string; readonly fields: Fields} {
  try {
    const text = new TextDecoder('utf-8', {fatal: true}).decode(bytes)
    const fields: unknown = JSON.parse(text)
    if (isFields(fields)) return {text, fields}
  } catch (error) {
    throw new CniError(CODE.decode, 'the network configuration on stdin is no JSON', messageOf(error), error)
  }
  throw new CniError(CODE.decode, 'the network configuration on stdin is no JSON object')
}

/** Missing counts as the first version, which had no such field. */
export function versionOf(fields: Fields): string {
  const version = fields['cniVersion'] ?? '0.1.0'
  if (typeof version === 'string') return version
  throw wrong('cniVersion', 'is no text')
}

/** Where and how to log, as far as it can be told from a configuration that may be wrong. */
export function logSettings(fields: Fields, defaultFile: string | undefined): LogSettings {
  const read = <T>(run: () => T, fallback: T): T => {
    try {
      return run()
    } catch {
      return fallback // Told when the whole configuration is checked.
    }
  }
  const fallback = defaultFile ?? `${RUN_DIRECTORY}/kmesh-cni.log`
  return {
    logFile: read(() => path(fields, 'logFile', fallback), fallback),
    logLevel: read(() => oneOf(fields, 'logLevel', LOG_LEVELS, 'info'), 'info'),
    logMaxBytes: read(() => logMaxBytes(fields), DEFAULT_LOG_BYTES),
    logFiles: read(() => logFiles(fields), DEFAULT_LOG_FILES),
  }
}

export type LogSettings = Pick<Settings, 'logFile' | 'logLevel' | 'logMaxBytes' | 'logFiles'>

/** @throws CniError 7 for a field that is wrong; unknown ones are other people's */
export function parseConfig(text: string, fields: Fields): Config {
  const name = fields['name']
  if (typeof name !== 'string' || !isCniName(name)) throw wrong('name', 'is no name of a network')
  const kubeconfig = path(fields, 'kubeconfig', '')
  return {
    cniVersion: versionOf(fields),
    name,
    socket: path(fields, 'socket', `${RUN_DIRECTORY}/cni.sock`),
    cache: path(fields, 'cache', `${RUN_DIRECTORY}/cni-cache.json`),
    kubeconfig: kubeconfig === '' ? undefined : kubeconfig,
    failurePolicy: oneOf(fields, 'failurePolicy', FAILURE_POLICIES, 'fail'),
    timeoutMs: 1000 * numberIn(fields, 'timeoutSeconds', 0, MAX_TIMEOUT_SECONDS, DEFAULT_TIMEOUT_SECONDS),
    logFile: path(fields, 'logFile', `${RUN_DIRECTORY}/kmesh-cni.log`),
    logLevel: oneOf(fields, 'logLevel', LOG_LEVELS, 'info'),
    logMaxBytes: logMaxBytes(fields),
    logFiles: logFiles(fields),
    prevResult: prevResultOf(text, fields),
    validAttachments: attachmentsOf(fields),
  }
}

function logMaxBytes(fields: Fields): number {
  return numberIn(fields, 'logMaxBytes', 1024, MAX_LOG_BYTES, DEFAULT_LOG_BYTES)
}

function logFiles(fields: Fields): number {
  return Math.floor(numberIn(fields, 'logFiles', 1, 100, DEFAULT_LOG_FILES))
}

function prevResultOf(text: string, fields: Fields): string | undefined {
  const value = fields['prevResult']
  if (value === undefined || value === null) return undefined
  if (!isFields(value)) throw wrong('prevResult', 'is no object')
  return rawMember(text, 'prevResult')
}

function attachmentsOf(fields: Fields): CniAttachment[] | undefined {
  const key = 'cni.dev/valid-attachments'
  const value = fields[key]
  if (value === undefined) return undefined
  if (!Array.isArray(value)) throw wrong(key, 'is no list')
  return value.map((item: unknown) => {
    const {containerID, ifname} = isFields(item) ? item : {}
    if (typeof containerID !== 'string' || !isCniName(containerID))
      throw wrong(key, 'has a wrong containerID')
    if (typeof ifname !== 'string' || !isInterfaceName(ifname)) throw wrong(key, 'has a wrong ifname')
    return {containerId: containerID, ifName: ifname}
  })
}

function path(fields: Fields, name: string, fallback: string): string {
  const value = fields[name]
  if (value === undefined || value === '') return fallback
  if (typeof value === 'string' && isPath(value)) return value
  throw wrong(name, 'is no absolute path')
}

function oneOf<T extends string>(fields: Fields, name: string, allowed: readonly T[], fallback: T): T {
  const value = fields[name]
  if (value === undefined || value === '') return fallback
  const found = allowed.find((candidate) => candidate === value)
  if (found === undefined) throw wrong(name, `is not one of ${allowed.join(', ')}`)
  return found
}

function numberIn(fields: Fields, name: string, least: number, most: number, fallback: number): number {
  const value = fields[name]
  if (value === undefined) return fallback
  if (typeof value === 'number' && value >= least && value <= most) return value
  throw wrong(name, `is no number from ${least} to ${most}`)
}

function wrong(name: string, what: string): CniError {
  return new CniError(CODE.config, `the network configuration is wrong: ${name} ${what}`)
}
