// SPDX-License-Identifier: Apache-2.0
/** One line of JSON for each connection that a sidecar handled: who spoke what with whom, and how it went. */
import type {Socket} from 'node:net'

export interface Place {
  readonly address: string
  readonly port: number
}

/** A line of the container's log. Places are `address:port`, IPv6 in brackets. */
export interface ConnectionLine {
  readonly direction: 'outbound' | 'inbound'
  readonly source: string
  readonly destination: string
  /** Where it was sent on; null where nowhere. */
  readonly endpoint: string | null
  /** `namespace/name:port` where the destination is one of a service, else null. */
  readonly service: string | null
  readonly tls: 'none' | 'mtls' | 'simple' | 'mutual'
  /** SPIFFE name of the other side's certificate. */
  readonly peer: string | null
  /** `ok` when an answer came; `closed` when none came; else `refused: WHY` or `failed: WHY`. */
  readonly result: string
}

export function placeText({address, port}: Place): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

export function sourceOf(socket: Socket): string {
  return placeText({address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0})
}

/** The names of a certificate as Node gives them: `URI:spiffe://..., DNS:...`. */
export function spiffeNamesOf(subjectAltName: string | undefined): string[] {
  return (subjectAltName ?? '')
    .split(', ')
    .flatMap((name) => (name.startsWith('URI:') ? [name.slice(4)] : []))
}

/** Written once, when it is known how the connection went. */
export class ConnectionRecord {
  line: Omit<ConnectionLine, 'result'>
  readonly #write: (line: ConnectionLine) => void
  #isWritten = false

  constructor(line: Omit<ConnectionLine, 'result'>, write: (line: ConnectionLine) => void) {
    this.line = line
    this.#write = write
  }

  set(change: Partial<ConnectionLine>): void {
    this.line = {...this.line, ...change}
  }

  /** What comes later changes nothing. */
  finish(result: string): void {
    if (this.#isWritten) return
    this.#isWritten = true
    this.#write({...this.line, result})
  }
}
