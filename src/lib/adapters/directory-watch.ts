// SPDX-License-Identifier: Apache-2.0
import {type FSWatcher, watch} from 'node:fs'

/** inotify. @throws the error of the file system where the folder cannot be watched */
export function watchDirectory(directory: string, onChange: () => void): Disposable {
  const watcher: FSWatcher = watch(directory, {persistent: false}, onChange)
  // The folder went away, or the kernel has no watches left: the slow poll remains.
  watcher.on('error', () => watcher.close())
  return {[Symbol.dispose]: () => watcher.close()}
}
