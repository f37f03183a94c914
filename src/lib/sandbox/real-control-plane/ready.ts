// SPDX-License-Identifier: Apache-2.0
/** Waits for an API server that is starting. */
import {request} from 'node:https'
import {KmeshError, messageOf, TimeoutError} from '../../errors.ts'
import type {Clock} from '../../ports.ts'
import type {KeyPair} from '../pki.ts'

const POLL_MS = 200
const REQUEST_TIMEOUT_MS = 5000
const MAX_BODY_BYTES = 64 * 1024
/** Enough for a slow machine: a first start writes its roles into an empty etcd. */
const LIMIT_MS = 120_000

export interface ReadyOptions {
  readonly server: string
  readonly authorityPem: string
  readonly client: KeyPair
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Why waiting is useless, such as a program that ended; undefined while there is hope. */
  readonly problem: () => string | undefined
}

/**
 * Resolves when `GET /readyz` is 200.
 * @throws KmeshError `ControlPlaneStart`, TimeoutError after 2 minutes, with the last answer
 */
export async function waitUntilReady(options: ReadyOptions): Promise<void> {
  const {clock, signal} = options
  const end = clock.monotonicMs() + LIMIT_MS
  for (;;) {
    const answer = await askOnce(options)
    if (answer === undefined) return
    const problem = options.problem()
    if (problem !== undefined) throw new KmeshError(problem, {code: 'ControlPlaneStart'})
    if (clock.monotonicMs() > end) {
      throw new TimeoutError(`kube-apiserver is not ready after ${LIMIT_MS} ms: ${answer}`)
    }
    await clock.sleep(POLL_MS, signal)
  }
}

/** @returns undefined when it is ready, else what it answered */
function askOnce({server, authorityPem, client, signal}: ReadyOptions): Promise<string | undefined> {
  return new Promise((resolve) => {
    const outgoing = request(`${server}/readyz`, {
      ca: authorityPem,
      cert: client.certificatePem,
      key: client.keyPem,
      agent: false,
      signal,
      timeout: REQUEST_TIMEOUT_MS,
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`)))
    outgoing.on('error', (error) => resolve(messageOf(error)))
    outgoing.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        if (text.length < MAX_BODY_BYTES) text += chunk
      })
      response.on('error', (error) => resolve(messageOf(error)))
      response.on('end', () => resolve(response.statusCode === 200 ? undefined : notReady(text)))
    })
    outgoing.end()
  })
}

/** Only the checks that fail. */
function notReady(text: string): string {
  const failing = text.split('\n').filter((line) => line.startsWith('[-]'))
  return failing.length > 0 ? failing.join(' ') : text.trim()
}
