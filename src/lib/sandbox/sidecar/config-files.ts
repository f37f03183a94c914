// SPDX-License-Identifier: Apache-2.0
/** Where each sidecar finds its configuration: a folder that only its pod's proxy and root can read. */
import {chmodSync, chownSync, mkdirSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import type {SandboxPaths} from '../state.ts'
import {PROXY_USER, type SidecarConfig} from './config.ts'

/** @param uid of the pod */
export function sidecarConfigFile(paths: Pick<SandboxPaths, 'runDir'>, uid: string): string {
  return join(paths.runDir, 'sidecars', uid, 'config.json')
}

/** Lets the proxy's user through to its own folder: no folder above can be listed or holds anything for everybody. */
export function openWay(paths: Pick<SandboxPaths, 'runDir'>): void {
  const directory = join(paths.runDir, 'sidecars')
  mkdirSync(directory, {recursive: true, mode: 0o711})
  for (const each of [dirname(paths.runDir), paths.runDir, directory]) chmodSync(each, 0o711)
}

/** Replaces it in one step. */
export function writeConfig(file: string, config: SidecarConfig): void {
  const directory = dirname(file)
  // The proxy may look, and put nothing in the way of a writer who is root.
  mkdirSync(directory, {recursive: true, mode: 0o750})
  chownSync(directory, 0, PROXY_USER)
  const temporary = `${file}.new`
  writeFileSync(temporary, JSON.stringify(config), {mode: 0o600, flush: true})
  chownSync(temporary, PROXY_USER, PROXY_USER)
  renameSync(temporary, file)
}

export function removeConfig(file: string): void {
  rmSync(dirname(file), {recursive: true, force: true})
}
