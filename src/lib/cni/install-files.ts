// SPDX-License-Identifier: Apache-2.0
/** The plugin on the node: a Node of our own, the code, a launcher of absolute paths, a kubeconfig. */
import {join} from 'node:path'
import {messageOf} from '../errors.ts'
import type {KubeAccess, Log, NodeFiles} from '../ports.ts'
import {PLUGIN_TYPE, type PluginEntry} from './conflist.ts'
import {kubeconfigText} from './install-kubeconfig.ts'
import type {InstallRecord} from './install-record.ts'

const MAX_LAUNCHER_BYTES = 16 * 1024
const MARK = '# kmesh-cni, written by kmesh-daemon'
/** Of the plugin and of the agent, in the run directory. */
const RUN_FILES = /^\.?(cni\.sock|cni-cache\.json(\.\w+)?|kmesh-cni\.log([.-].*)?)$/

/** Absolute, as the node sees them. */
export interface InstallPlaces {
  readonly runDir: string
  readonly etcPath: string
  readonly binPath: string
  readonly runtimePath: string
}

export interface PluginSource {
  /** A Node >= 22.19. */
  readonly node: string
  /** One file without others. */
  readonly code: string
}

interface Installed {
  readonly launcher: string
  readonly node: string
  readonly code: string
  readonly kubeconfig: string
}

function installed({etcPath, binPath, runtimePath}: InstallPlaces): Installed {
  return {
    launcher: join(binPath, PLUGIN_TYPE),
    node: join(runtimePath, 'node'),
    code: join(runtimePath, 'kmesh-cni.mjs'),
    kubeconfig: join(etcPath, 'kmesh-cni-kubeconfig'),
  }
}

export function entryOf(places: InstallPlaces, failurePolicy: 'fail' | 'ignore'): PluginEntry {
  return {
    type: PLUGIN_TYPE,
    socket: join(places.runDir, 'cni.sock'),
    cache: join(places.runDir, 'cni-cache.json'),
    logFile: join(places.runDir, 'kmesh-cni.log'),
    kubeconfig: installed(places).kubeconfig,
    failurePolicy,
  }
}

/** Returns false where all was in place. The launcher comes last: until then there is no plugin. */
export async function installPlugin(
  files: NodeFiles,
  record: InstallRecord,
  source: PluginSource,
  places: InstallPlaces,
): Promise<boolean> {
  const {launcher, node, code} = installed(places)
  record.add('files', launcher, node, code)
  record.add('directories', places.runtimePath)
  const changes = [
    files.makeDirectory(places.runtimePath, 0o755),
    await files.copy(source.node, node, 0o755),
    await files.copy(source.code, code, 0o644),
    files.write(launcher, Buffer.from(launcherText(node, code)), 0o755),
  ]
  return changes.includes(true)
}

/** A runtime gives it hardly any environment, and none of it may change what Node does. */
function launcherText(node: string, code: string): string {
  return `#!/bin/sh\n${MARK}\nunset NODE_OPTIONS NODE_PATH\nexec ${quoted(node)} ${quoted(code)} "$@"\n`
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`
}

/** Returns false where it was in place. */
export function installKubeconfig(
  files: NodeFiles,
  record: InstallRecord,
  access: KubeAccess,
  places: InstallPlaces,
): boolean {
  const {kubeconfig} = installed(places)
  record.add('files', kubeconfig)
  return files.write(kubeconfig, Buffer.from(kubeconfigText(access)), 0o600)
}

/**
 * Takes away the plugin, its Node, kubeconfig, socket, cache and log, also where options of an earlier run put them.
 * @returns false where something could not be taken away; it has been said
 */
export function removeInstalled(
  files: NodeFiles,
  record: InstallRecord,
  places: InstallPlaces,
  log: Log,
): boolean {
  let isClean = true
  const attempt = (path: string, run: () => unknown): void => {
    try {
      run()
    } catch (error) {
      isClean = false
      log.error(`cannot remove ${path}: ${messageOf(error)}`)
    }
  }
  for (const directory of [places.binPath, places.etcPath, ...record.paths('directories')]) {
    attempt(directory, () => files.sweep(directory))
  }
  for (const path of new Set([...record.paths('files'), ...Object.values(installed(places))])) {
    attempt(path, () => {
      if (isForeignPlugin(files, path)) log.warn(`${path} was not made by this agent: it stays`)
      else files.remove(path)
    })
  }
  for (const name of files.names(places.runDir) ?? []) {
    if (RUN_FILES.test(name)) attempt(name, () => files.remove(join(places.runDir, name)))
  }
  for (const path of new Set([...record.paths('directories'), places.runtimePath, places.runDir])) {
    attempt(path, () => files.removeDirectory(path))
  }
  return isClean
}

/** A Go daemon installs a program of the same name. */
function isForeignPlugin(files: NodeFiles, path: string): boolean {
  if (!path.endsWith(`/${PLUGIN_TYPE}`)) return false
  try {
    const file = files.read(path, MAX_LAUNCHER_BYTES)
    return file !== undefined && !Buffer.from(file.bytes).toString().startsWith(`#!/bin/sh\n${MARK}\n`)
  } catch {
    return true // Larger than any launcher, or no file.
  }
}
