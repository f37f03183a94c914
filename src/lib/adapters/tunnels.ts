// SPDX-License-Identifier: Apache-2.0
/** Opens port-forwards for the admin client: again when the API server was busy, and told to who listens. */
import {KubeStatusError, UnreachableError} from '../errors.ts'
import type {Clock, Kube, TunnelListener, Tunnels} from '../ports.ts'
import {codeOf} from './kube-errors.ts'

export interface TunnelOptions {
  readonly clock: Clock
  /** 0 to 1, for back-off; Math.random but in tests. */
  readonly random: () => number
}

const RETRIES = 2
const BACKOFF_MS = 200
const MAX_BACKOFF_MS = 2000
/** A gateway's 502 and 504 are about one node; they may pass, and say nothing about the API server. */
const PASSING = new Set([429, 502, 503, 504])
const BUSY = new Set([429, 503])

/**
 * The port-forward of `kube` with retries of its handshake: no byte was sent then, so that this is right for
 * writes too. A handshake that is not answered in time is not tried again.
 */
export function openTunnels(kube: Kube, {clock, random}: TunnelOptions): Tunnels & Pick<Kube, 'portForward'> {
  const listeners = new Map<string, TunnelListener>()
  return {
    listen: ({pod}, listener) => {
      if (pod === null) return () => undefined
      const key = `${pod.namespace}/${pod.name}`
      listeners.set(key, listener)
      return () => void listeners.delete(key)
    },
    portForward: async (namespace, pod, port, options) => {
      const listener = listeners.get(`${namespace}/${pod}`)
      const onData = listener && ((bytes: number) => listener.heard(bytes))
      const stream = await again(
        () => kube.portForward(namespace, pod, port, {...options, onData}),
        (attempt) =>
          clock.sleep(random() * Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 4 ** attempt), options.signal),
        listener,
      )
      listener?.opened()
      return stream
    },
  }
}

async function again<T>(
  open: () => Promise<T>,
  pause: (attempt: number) => Promise<void>,
  listener: TunnelListener | undefined,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await open()
    } catch (error) {
      const fault = faultOf(error)
      if (fault !== undefined) listener?.failed(fault)
      if (fault === undefined || attempt >= RETRIES) throw error
    }
    await pause(attempt)
    listener?.retried()
  }
}

/** Undefined: trying again does not help. */
function faultOf(error: unknown): 'busy' | 'dropped' | 'node' | undefined {
  if (error instanceof KubeStatusError) {
    if (BUSY.has(error.status)) return 'busy'
    return PASSING.has(error.status) ? 'node' : undefined
  }
  const isDropped = error instanceof UnreachableError && /^(ECONNRESET|EPIPE)$/.test(codeOf(error))
  return isDropped ? 'dropped' : undefined
}
