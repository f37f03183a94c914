// SPDX-License-Identifier: Apache-2.0
/** Lists and watch events as an API server sends them, checked before anybody believes them. */
import {UnreachableError} from '../errors.ts'
import type {KubeList, WatchEvent} from '../model/kube.ts'
import {PROTOBUF} from '../model/protobuf-bytes.ts'
import {type Intent, statusError} from './kube-errors.ts'

export function checkList<T>(answer: unknown): KubeList<T> {
  const {items, metadata} = answer as {items?: unknown; metadata?: KubeList<T>['metadata']}
  if (items !== null && items !== undefined && !Array.isArray(items)) {
    throw new UnreachableError('decode', 'the API server answered a list whose items are no array')
  }
  return {metadata: metadata ?? {}, items: (items ?? []) as T[]}
}

/** A failure as the text of its Status: an API server that was asked for protobuf answers so here too. */
export async function statusText(bytes: Buffer, contentType: string): Promise<string> {
  if (contentType !== PROTOBUF) return bytes.toString('utf8')
  const {readStatus} = await import('./kube-protobuf.ts')
  try {
    return JSON.stringify(readStatus(bytes))
  } catch {
    return '' // The status code says enough.
  }
}

/** @throws KubeStatusError for an ERROR event, 410 among them. */
export function eventOf<T>(line: string, intent: Intent): WatchEvent<T> {
  let event: {type?: unknown; object?: {code?: unknown}}
  try {
    event = JSON.parse(line) as typeof event
  } catch (error) {
    throw new UnreachableError('decode', 'the API server sent a watch event that is no JSON', {cause: error})
  }
  if (event.type === 'ERROR') {
    const code = typeof event.object?.code === 'number' ? event.object.code : 500
    throw statusError(code, JSON.stringify(event.object ?? {}), intent)
  }
  if (
    !['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'].includes(String(event.type)) ||
    typeof event.object !== 'object'
  ) {
    throw new UnreachableError(
      'decode',
      `the API server sent a watch event of type ${String(event.type).slice(0, 40)}`,
    )
  }
  return event as unknown as WatchEvent<T>
}
