// SPDX-License-Identifier: Apache-2.0
/** One readiness probe, made from the node as a kubelet does. */
import {request} from 'node:http'
import {request as secureRequest} from 'node:https'
import type {Socket} from 'node:net'
import {messageOf} from '../../errors.ts'
import type {Container, Probe} from '../../model/kube.ts'
import type {Sockets} from './sockets.ts'

export interface ProbeTarget {
  /** Namespace of the node. */
  readonly namespacePath: string
  /** Primary address of the pod. */
  readonly address: string
  readonly ports: Container['ports']
  readonly sockets: Sockets
  /** Runs a command inside the container; throws when it fails. */
  readonly execute: (command: readonly string[], timeoutMs: number) => Promise<void>
}

/** @returns undefined when it passed, else why not */
export async function probeOnce(probe: Probe, target: ProbeTarget): Promise<string | undefined> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000
  try {
    if (probe.httpGet !== undefined) return await probeHttp(probe.httpGet, target, timeoutMs)
    if (probe.tcpSocket !== undefined) return await probeTcp(probe.tcpSocket, target, timeoutMs)
    if (probe.exec !== undefined) {
      await target.execute(probe.exec.command ?? [], timeoutMs)
      return undefined
    }
    return 'the probe has none of httpGet, tcpSocket and exec'
  } catch (error) {
    return messageOf(error)
  }
}

function portNumber(port: number | string, ports: Container['ports']): number {
  if (typeof port === 'number') return port
  const named = ports?.find((entry) => entry.name === port)
  if (named !== undefined) return named.containerPort
  throw new Error(`no port is named "${port}"`)
}

/** A socket that connects from the node. */
function socketFromNode(target: ProbeTarget, address: string, port: number): Socket {
  return target.sockets.connect(target.namespacePath, address, port)
}

function probeTcp(
  action: NonNullable<Probe['tcpSocket']>,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<string | undefined> {
  const port = portNumber(action.port, target.ports)
  return new Promise((resolve) => {
    const socket = socketFromNode(target, action.host ?? target.address, port)
    const finish = (problem: string | undefined): void => {
      socket.destroy()
      resolve(problem)
    }
    const expired = AbortSignal.timeout(timeoutMs)
    expired.addEventListener('abort', () => finish(`port ${port}: no answer within ${timeoutMs} ms`))
    socket.once('error', (error) => finish(`port ${port}: ${error.message}`))
    socket.once('connect', () => finish(undefined))
  })
}

function probeHttp(
  action: NonNullable<Probe['httpGet']>,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<string | undefined> {
  const port = portNumber(action.port, target.ports)
  const host = action.host ?? target.address
  const isSecure = action.scheme === 'HTTPS'
  return new Promise((resolve) => {
    const sent = (isSecure ? secureRequest : request)({
      host,
      port,
      path: action.path ?? '/',
      headers: {'user-agent': 'kube-probe/sandbox', connection: 'close'},
      signal: AbortSignal.timeout(timeoutMs),
      rejectUnauthorized: false,
      createConnection: () => socketFromNode(target, host, port),
    })
    sent.once('error', (error) => resolve(`port ${port}: ${error.message}`))
    sent.once('response', (response) => {
      response.destroy()
      const status = response.statusCode ?? 0
      resolve(status >= 200 && status < 400 ? undefined : `port ${port}: HTTP status ${status}`)
    })
    sent.end()
  })
}
