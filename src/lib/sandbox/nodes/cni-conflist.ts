// SPDX-License-Identifier: Apache-2.0
/** A node's folder of network configurations, read as a container runtime reads it. */
import {existsSync, linkSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {KmeshError, messageOf} from '../../errors.ts'
import type {SandboxPaths} from '../state.ts'

/** The sandbox's own network code; it is no program. */
export const OWN_PLUGIN = 'sandbox-network'
const FIRST_FILE = '10-sandbox.conflist'
const CNI_VERSION = '1.0.0'
const MAX_BYTES = 1024 * 1024

/** Where a node keeps what concerns CNI. */
export interface CniFolders {
  /** Conflists, as /etc/cni/net.d. */
  readonly configDir: string
  /** Plugins, as /opt/cni/bin. */
  readonly programDir: string
  /** Of the agent: its socket. Short, since paths of sockets have at most 107 bytes. */
  readonly runDir: string
}

export interface PluginConfig {
  readonly type: string
  readonly [key: string]: unknown
}

export interface NetworkList {
  readonly name: string
  readonly cniVersion: string
  readonly plugins: readonly PluginConfig[]
}

export function cniFolders(paths: SandboxPaths, node: string): CniFolders {
  const base = join(paths.stateDir, 'nodes', node, 'cni')
  return {
    configDir: join(base, 'net.d'),
    programDir: join(base, 'bin'),
    runDir: join(paths.runDir, 'nodes', node, 'run'),
  }
}

/** Makes the folders, and the conflist of a node that has nothing but the sandbox's network. */
export function makeCniFolders(folders: CniFolders): void {
  for (const folder of Object.values(folders)) mkdirSync(folder, {recursive: true, mode: 0o700})
  const file = join(folders.configDir, FIRST_FILE)
  const list: NetworkList = {name: 'sandbox', cniVersion: CNI_VERSION, plugins: [{type: OWN_PLUGIN}]}
  if (!existsSync(file)) writeFileSync(file, `${JSON.stringify(list, null, 2)}\n`, {mode: 0o600})
}

/**
 * Puts the Node that runs us where the agent would copy it to, as a link: 150 MB a node less to write at each start.
 * The agent takes it as in place when it is the one that it would install, else it replaces it.
 */
export function lendNode(folders: CniFolders, nodeProgram: string): void {
  const runtime = join(folders.programDir, '.kmesh-cni')
  mkdirSync(runtime, {recursive: true, mode: 0o755})
  try {
    linkSync(nodeProgram, join(runtime, 'node'))
  } catch {
    // Another file system, or one without links: then it is copied.
  }
}

/**
 * The lexically first `*.conflist`, as it is now.
 * @throws KmeshError `NoConflist`, `BadConflist`
 */
export function readConflist(configDir: string): NetworkList {
  const name = readdirSync(configDir)
    .filter((entry) => entry.endsWith('.conflist'))
    .sort()[0]
  if (name === undefined) throw new KmeshError(`no *.conflist in ${configDir}`, {code: 'NoConflist'})
  const file = join(configDir, name)
  if (statSync(file).size > MAX_BYTES) throw bad(file, `larger than ${MAX_BYTES} bytes`)
  try {
    return checked(JSON.parse(readFileSync(file, 'utf8')), file)
  } catch (error) {
    throw error instanceof KmeshError ? error : bad(file, messageOf(error))
  }
}

function checked(value: unknown, file: string): NetworkList {
  const {name, cniVersion, plugins} = (value ?? {}) as Record<string, unknown>
  if (typeof name !== 'string' || name === '') throw bad(file, 'no name')
  if (typeof cniVersion !== 'string') throw bad(file, 'no cniVersion')
  if (!Array.isArray(plugins) || !plugins.every(isPlugin))
    throw bad(file, 'plugins: expected objects with a type')
  if (plugins[0]?.type !== OWN_PLUGIN) throw bad(file, `the first plugin is not ${OWN_PLUGIN}`)
  return {name, cniVersion, plugins}
}

function isPlugin(value: unknown): value is PluginConfig {
  const type = (value as {type?: unknown} | null)?.type
  return typeof type === 'string' && /^[\w.-]+$/.test(type)
}

function bad(file: string, why: string): KmeshError {
  return new KmeshError(`${file}: ${why}`, {code: 'BadConflist'})
}
