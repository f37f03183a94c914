// SPDX-License-Identifier: Apache-2.0
import {statfsSync} from 'node:fs'
import {join} from 'node:path'
import {KmeshError, messageOf} from '../errors.ts'

const NSFS_MAGIC = 0x6e73_6673

/**
 * Paths of namespaces as the host's programs name them, made reachable: through process 1's root where the host's
 * /proc is mounted elsewhere, else as they are.
 *
 * @param procPath - `/proc`, or where the host's is mounted
 * @returns throws KmeshError `BadNetns` where no namespace is
 */
export function createHostNetns(procPath: string): (path: string) => string {
  const root = join(procPath, '1/root')
  return (path) => {
    // An absolute link on the way, as /var/run is, would lead back into our own root.
    const plain = path.replace(/^\/var\/run\//, '/run/')
    const candidates = procPath === '/proc' ? [path] : [join(root, plain), join(root, path), path]
    const failures: string[] = []
    for (const candidate of candidates) {
      const failure = failureOf(candidate)
      if (failure === undefined) return candidate
      failures.push(failure)
    }
    throw new KmeshError(`there is no network namespace at ${path}: ${failures.join('; ')}`, {
      code: 'BadNetns',
      parameter: 'netns',
    })
  }
}

function failureOf(path: string): string | undefined {
  try {
    return statfsSync(path).type === NSFS_MAGIC ? undefined : `${path} is no namespace`
  } catch (error) {
    return messageOf(error)
  }
}
