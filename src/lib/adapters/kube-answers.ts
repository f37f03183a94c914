// SPDX-License-Identifier: Apache-2.0
/** Lists and watch events as an API server sends them, checked before anybody believes them. */
import {setImmediate as turn} from 'node:timers/promises'
import {UnreachableError} from '../errors.ts'
import type {KubeList, WatchEvent} from '../model/kube.ts'
import {type Intent, statusError} from './kube-errors.ts'

export function checkList<T>(answer: unknown): KubeList<T> {
  const {items, metadata} = answer as {items?: unknown; metadata?: KubeList<T>['metadata']}
  if (items !== null && items !== undefined && !Array.isArray(items)) {
    throw new UnreachableError('decode', 'the API server answered a list whose items are no array')
  }
  return {metadata: metadata ?? {}, items: (items ?? []) as T[]}
}

/** Where a list says how it goes on: API servers write it in front of the items. */
const HEAD_BYTES = 2048
const CONTINUES = /^\{[^{}]*"metadata":\{[^{}]*"continue":"([^"\\]+)"/

/**
 * Asks for the next page of a list before this one is parsed, so that the server makes it meanwhile.
 *
 * @param ahead - by continue token; what nobody fetches from it failed or was another list's, and is let go
 */
export async function askAhead(
  bytes: Uint8Array,
  ask: (from: string) => Promise<unknown>,
  ahead: Map<string, Promise<unknown>>,
): Promise<void> {
  const head = Buffer.from(bytes.subarray(0, HEAD_BYTES)).toString('latin1')
  const from = CONTINUES.exec(head)?.[1]
  if (from === undefined || ahead.has(from)) return
  const page = ask(from)
  // Whoever waits for the page is told; here nobody may.
  page.catch(() => undefined)
  ahead.set(from, page)
  // It goes out with the next turn of the loop, and parsing keeps that waiting.
  await turn()
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
