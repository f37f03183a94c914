// SPDX-License-Identifier: Apache-2.0
/** Serves what CustomResourceDefinitions define, from their creation until the last object of a deleted one is gone. */
import {CLEANUP_FINALIZER, rowsOf} from './custom-definition.ts'
import type {StoredObject} from './object.ts'
import type {Registry} from './registry.ts'
import {deleteObject, deleteOptions} from './remove.ts'
import type {ResourceRow} from './resource-row.ts'
import {resourceRow} from './resources.ts'
import type {Store} from './store.ts'
import {isGone, type WriteContext} from './write.ts'

type WriteContextOf = () => WriteContext

/** Follows the definitions in `store` for as long as it lives. */
export function followDefinitions(store: Store, registry: Registry, writing: WriteContextOf): void {
  const row = resourceRow('customresourcedefinitions')
  const watched = new Map<string, () => void>()
  store.listen(row, ({type, object}) => {
    const {name, deletionTimestamp} = object.metadata
    if (type === 'DELETED') {
      for (const custom of registry.custom(name)) store.endListening(custom)
      watched.get(name)?.()
      watched.delete(name)
      registry.setCustom(name, [])
      return
    }
    const rows = rowsOf(object)
    registry.setCustom(name, rows)
    const [first] = rows
    if (first === undefined) return
    const tidy = (): void => queueMicrotask(() => cleanUp(store, row, name, first, writing))
    // Within a change nothing else may change: watchers would hear of it in the wrong order.
    if (!watched.has(name)) {
      watched.set(
        name,
        store.listen(first, (change) => {
          if (change.type === 'DELETED') tidy()
        }),
      )
    }
    if (deletionTimestamp !== undefined) tidy()
  })
}

/** Deletes the objects of a definition that is on its way out; without any left, it goes itself. */
function cleanUp(
  store: Store,
  row: ResourceRow,
  name: string,
  custom: ResourceRow,
  writing: WriteContextOf,
): void {
  const definition = store.get(row, '', name)
  if (definition?.metadata.deletionTimestamp === undefined) return
  const options = deleteOptions(new URLSearchParams(), undefined)
  for (const object of [...store.values(custom)]) {
    if (object.metadata.deletionTimestamp === undefined) deleteObject(writing(), custom, object, options)
  }
  const current = store.get(row, '', name)
  if (current === undefined || [...store.values(custom)].length > 0) return
  const {finalizers = []} = current.metadata
  if (!finalizers.includes(CLEANUP_FINALIZER)) return
  const left = finalizers.filter((finalizer) => finalizer !== CLEANUP_FINALIZER)
  const done: StoredObject = {...current, metadata: {...current.metadata, finalizers: left}}
  if (isGone(row, done)) store.remove(row, done)
  else store.put(row, done)
}
