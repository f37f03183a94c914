// SPDX-License-Identifier: Apache-2.0
import {isIP} from 'node:net'
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'

/**
 * TLS connections to one server. Certificates are parsed once, and later connections resume the session of an
 * earlier one: a full handshake is the largest part of what a port-forward costs us and the API server.
 */
export class TlsConnector {
  private readonly options: ConnectionOptions
  private context: SecureContext | undefined
  private session: Buffer | undefined

  /** @param options - certificates and how to check the server's. */
  constructor(options: ConnectionOptions) {
    this.options = options
  }

  /** The connection as it is being made: it emits `secureConnect` or `error`. */
  open(host: string, port: number): TLSSocket {
    const {ca, cert, key, pfx, passphrase, servername = isIP(host) ? '' : host, ...checks} = this.options
    this.context ??= createSecureContext({ca, cert, key, pfx, passphrase})
    const socket = connect({
      ...checks,
      host,
      port,
      servername,
      secureContext: this.context,
      ALPNProtocols: ['http/1.1'],
      ...(this.session === undefined ? {} : {session: this.session}),
    })
    socket.on('session', (session) => {
      this.session = session
    })
    // A server that refuses the resumed handshake gets a full one next time.
    socket.once('error', () => {
      this.session = undefined
    })
    return socket
  }
}
