// SPDX-License-Identifier: Apache-2.0
/** What a failed request to a daemon is called. */
import {EXIT, KmeshError, messageOf, TimeoutError, UnreachableError} from '../errors.ts'
import type {Stopwatch} from './stopwatch.ts'

/** @param connected - a connection stood: what failed since is no matter of connecting. */
export function requestError(error: unknown, watch: Stopwatch, connected: boolean): unknown {
  const phase = watch.phase === 'connect' && connected ? 'request' : watch.phase
  if (watch.expired) {
    return new TimeoutError(`no answer within ${watch.limitMs} ms`, {
      phase,
      exitCode: EXIT.failure,
      hints: ['--request-timeout sets this limit'],
    })
  }
  if (watch.signal.aborted) return watch.signal.reason
  if (error instanceof KmeshError) return error
  if ((error as {code?: unknown}).code === 'UND_ERR_CONNECT_TIMEOUT') {
    return new TimeoutError('no connection in time', {
      phase: 'connect',
      exitCode: EXIT.failure,
      cause: error,
    })
  }
  return new UnreachableError(phase, describe(error), {cause: error})
}

function describe(error: unknown): string {
  const {code} = error as {code?: unknown}
  const message = messageOf(error)
  if (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET')
    return `the connection was closed in mid-answer (${message})`
  if (typeof code === 'string' && code.startsWith('HPE_')) return `the answer is no HTTP (${message})`
  return message === '' ? String(code) : message
}
