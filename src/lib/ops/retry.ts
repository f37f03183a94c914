// SPDX-License-Identifier: Apache-2.0
/** Reads of a daemon are asked again when the way to it broke. Writes never are: they may have been done. */
import {UnreachableError} from '../errors.ts'
import {ENDPOINTS, type EndpointName} from '../model/api.ts'
import type {Admin, Clock, KubeReadOptions} from '../ports.ts'

export interface RetryDeps {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** 0 to 1; Math.random but in tests. */
  readonly random: () => number
  /** A tunnel opened. Until then it is opened anew by itself, for writes too: no byte was sent. */
  readonly isOpen: () => boolean
  readonly onAsk: () => void
  readonly onRetry: () => void
}

const RETRIES = 1
const PAUSE_MS = 400

/** The system's, undici's and the WebSocket's names for a connection that broke. */
const BROKEN = /^(ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET|WS_ERR_.*)$/

/** The same endpoint, with retries. `lines` and `members` are asked again only before the first of them. */
export function retrying(admin: Admin, deps: RetryDeps): Admin {
  return {
    target: admin.target,
    call: (endpoint, params, options) =>
      again(deps, isRead(endpoint), options, () => admin.call(endpoint, params, options)),
    text: (endpoint, params, options) =>
      again(deps, isRead(endpoint), options, () => admin.text(endpoint, params, options)),
    // Whoever asks by HEAD has another question ready when the connection is dropped.
    head: (path, options) => again(deps, false, options, () => admin.head(path, options)),
    peek: (path, options) => again(deps, true, options, () => admin.peek(path, options)),
    once: (fact, ask) => admin.once(fact, ask),
    lines: (endpoint, params, options) =>
      streaming(deps, endpoint, options, () => admin.lines(endpoint, params, options)),
    members: (endpoint, params, options) =>
      streaming(deps, endpoint, options, () => admin.members(endpoint, params, options)),
    close: () => admin.close(),
  }
}

/** Asked again until something came. */
async function* streaming<T>(
  deps: RetryDeps,
  endpoint: EndpointName,
  options: KubeReadOptions | undefined,
  open: () => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  const {rest, first} = await again(deps, isRead(endpoint), options, async () => {
    const iterator = open()[Symbol.asyncIterator]()
    return {rest: iterator, first: await iterator.next()}
  })
  try {
    for (let part = first; !part.done; part = await rest.next()) yield part.value
  } finally {
    await rest.return?.()
  }
}

function isRead(endpoint: EndpointName): boolean {
  return ENDPOINTS[endpoint].method === 'GET'
}

async function again<T>(
  deps: RetryDeps,
  isRepeatable: boolean,
  options: KubeReadOptions | undefined,
  ask: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    deps.onAsk()
    try {
      return await ask()
    } catch (error) {
      if (!isRepeatable || attempt >= RETRIES || !deps.isOpen() || !isBroken(error)) throw error
      await deps.clock.sleep(deps.random() * PAUSE_MS, options?.signal ?? deps.signal)
      deps.onRetry()
    }
  }
}

/** The connection broke. What a daemon or a kubelet said in words is an answer, and stays. */
function isBroken(error: unknown): boolean {
  if (!(error instanceof UnreachableError) || error.code !== 'Unreachable') return false
  const code = (error.cause as {code?: unknown} | undefined)?.code
  return typeof code === 'string' && BROKEN.test(code)
}
