// SPDX-License-Identifier: Apache-2.0
/** Ports 15021 and 15020: is the sidecar ready, and the application's probes, which cannot pass mTLS themselves. */
import {createServer, request, type Server, type ServerResponse} from 'node:http'
import {connect, isIPv6} from 'node:net'
import {messageOf} from '../../errors.ts'
import {OWN_SOURCE} from './inbound.ts'

const DEFAULT_TIMEOUT_SECONDS = 1

/** As injection writes it into ISTIO_KUBE_APP_PROBERS. */
export interface AppProbe {
  readonly httpGet?: {readonly path?: string; readonly port: number}
  readonly tcpSocket?: {readonly port: number}
  readonly timeoutSeconds?: number
}

export interface HealthOptions {
  readonly isReady: () => boolean
  /** Path -> probe. */
  readonly probes: Readonly<Record<string, AppProbe>>
  /** Of the pod. */
  readonly address: string
}

export function healthServer({isReady, probes, address}: HealthOptions): Server {
  return createServer((incoming, response) => {
    incoming.resume()
    const path = incoming.url ?? ''
    const probe = Object.hasOwn(probes, path) ? probes[path] : undefined
    if (path === '/healthz/ready') return answer(response, isReady() ? 200 : 503, '')
    if (probe === undefined) return answer(response, 404, 'no such probe')
    void attempt(probe, address).then((problem) =>
      answer(response, problem === undefined ? 200 : 500, problem ?? ''),
    )
  })
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {connection: 'close'})
  response.end(text)
}

function attempt(probe: AppProbe, host: string): Promise<string | undefined> {
  const localAddress = OWN_SOURCE[isIPv6(host) ? 6 : 4]
  const signal = AbortSignal.timeout((probe.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000)
  const {httpGet, tcpSocket} = probe
  return new Promise((resolve) => {
    if (httpGet !== undefined) {
      const sent = request(
        {host, localAddress, port: httpGet.port, path: httpGet.path ?? '/', signal},
        (response) => {
          response.destroy()
          const status = response.statusCode ?? 0
          resolve(status >= 200 && status < 400 ? undefined : `HTTP status ${status}`)
        },
      )
      sent.once('error', (error) => resolve(messageOf(error)))
      sent.end()
      return
    }
    const socket = connect({host, localAddress, port: tcpSocket?.port ?? 0, signal})
    socket.once('connect', () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.once('error', (error) => resolve(messageOf(error)))
  })
}
