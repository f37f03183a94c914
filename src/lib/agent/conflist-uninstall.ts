// SPDX-License-Identifier: Apache-2.0
import {dirname} from 'node:path'
import {removeInstalled} from '../cni/install-files.ts'
import type {InstallRecord} from '../cni/install-record.ts'
import type {Log, NodeFiles} from '../ports.ts'
import {takeOut} from './conflist-out.ts'
import type {ConflistPlaces} from './conflist-pass.ts'
import type {AgentOptions} from './options.ts'

/** Undefined where everything about CNI is off. */
export function conflistPlaces({cni, runDir}: AgentOptions): ConflistPlaces | undefined {
  return cni === undefined ? undefined : {...cni, runDir}
}

interface ConflistUninstallParts {
  readonly files: NodeFiles
  readonly record: InstallRecord
  readonly places: ConflistPlaces
  readonly log: Log
}

/**
 * The entry out of every conflist first, so that no runtime calls the plugin any more, then everything else.
 *
 * @returns false where something is left; it has been said, and the record of what was made stays
 * @throws ConflictError `AlreadyRunning`, then nothing was done
 */
export function uninstallCni(parts: ConflistUninstallParts): boolean {
  const {files, record, places, log} = parts
  using _lock = files.names(places.etcPath) === undefined ? undefined : files.lock(places.etcPath)
  for (const path of record.paths('conflists')) files.sweep(dirname(path))
  if (!takeOut(parts)) {
    log.error('the CNI plugin stays, since an entry names it')
    return false
  }
  if (!removeInstalled(files, record, places, log)) return false
  record.remove()
  log.info('CNI plugin, its entry, kubeconfig, cache and log are taken out')
  return true
}
