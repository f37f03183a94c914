// SPDX-License-Identifier: Apache-2.0
/** HTTP/1.1 to one daemon: over a port-forward, or straight to a URL. */
import type {Duplex} from 'node:stream'
import {Client} from 'undici'
import {KmeshError} from '../errors.ts'
import type {DaemonTarget} from '../model/api.ts'
import type {Clock, Kube} from '../ports.ts'

export interface DialerOptions {
  /** Leads to daemons in pods; not needed for targets that are URLs. */
  readonly kube: Pick<Kube, 'portForward'> | undefined
  readonly adminPort: number
  readonly requestTimeoutMs: number
  readonly connectTimeoutMs?: number
  readonly clock: Clock
}

const CONNECT_TIMEOUT_MS = 3000
const LIMITS = {headersTimeout: 0, bodyTimeout: 0, pipelining: 1}

/** @param signal - ends a connect that is still under way. */
export function openClient(
  {pod, node}: DaemonTarget,
  options: DialerOptions,
  signal: AbortSignal,
  onConnected: () => void,
): Client {
  const connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS
  if (pod === null) {
    const client = new Client(node, {...LIMITS, connect: {timeout: connectTimeoutMs}})
    client.on('connect', onConnected)
    return client
  }
  return new Client(`http://localhost:${options.adminPort}`, {
    ...LIMITS,
    connect: (_options, callback) => {
      // undici expects the answer later, never during the call: a synchronous one hangs the request.
      forward(pod, options, connectTimeoutMs, signal).then(
        (stream) => {
          onConnected()
          setImmediate(() => callback(null, stream as never))
        },
        (error: Error) => setImmediate(() => callback(error, null)),
      )
    },
  })
}

async function forward(
  pod: {readonly namespace: string; readonly name: string},
  {kube, adminPort}: DialerOptions,
  connectTimeoutMs: number,
  signal: AbortSignal,
): Promise<Duplex> {
  if (kube === undefined) throw new KmeshError('a daemon in a pod needs a cluster', {code: 'NoCluster'})
  return kube.portForward(pod.namespace, pod.name, adminPort, {connectTimeoutMs, signal})
}
