// SPDX-License-Identifier: Apache-2.0
import {dirname} from 'node:path'
import {candidates, takeEntry} from '../cni/conflist-files.ts'
import {messageOf} from '../errors.ts'
import type {PassParts} from './conflist-pass.ts'

/**
 * Takes the entry out of every file that may have it, whichever is first by now.
 * @returns false where an entry could not be taken out; it has been said
 */
export function takeOut({
  files,
  record,
  places,
  log,
}: Pick<PassParts, 'files' | 'record' | 'places' | 'log'>): boolean {
  const recorded = record.paths('conflists')
  const others = candidates(files, places.etcPath).filter((path) => !recorded.includes(path))
  const goes = [
    ...recorded.map((path) => [path, 'any'] as const),
    ...others.map((path) => [path, 'withSocket'] as const),
  ]
  let isClean = true
  for (const [path, only] of goes) {
    try {
      if (takeEntry(files, path, only)) log.info('CNI entry taken out', {file: path})
      files.sweep(dirname(path))
      record.drop('conflists', path)
    } catch (error) {
      isClean = false
      log.error(messageOf(error))
    }
  }
  return isClean
}
