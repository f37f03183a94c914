// SPDX-License-Identifier: Apache-2.0
/** Port 15006: connections to the application, as its PeerAuthentications allow them. */
import {connect, isIPv6, type Socket} from 'node:net'
import {createServer, type TLSSocket} from 'node:tls'
import {messageOf} from '../../errors.ts'
import type {SidecarConfig} from './config.ts'
import {type ConnectionRecord, type Place, placeText, spiffeNamesOf} from './connection-log.ts'
import {modeOfPort} from './receive-mode.ts'
import {peek, refuse, relay} from './relay.ts'

/** Connections from here are the sidecar's own: its rules let them pass to the application. */
export const OWN_SOURCE = {4: '127.0.0.6', 6: '::6'} as const

export async function handleInbound(
  downstream: Socket,
  to: Place,
  config: SidecarConfig,
  record: ConnectionRecord,
): Promise<void> {
  record.set({endpoint: placeText(to)})
  const mode = modeOfPort(config.receive, to.port)
  if (mode === 'DISABLE') return relay(downstream, applicationAt(to), record)
  const first = await peek(downstream)
  if (first === undefined) return refuse(downstream, record, 'it closed without a word')
  if (first.kind === 'plain') {
    if (mode === 'STRICT') return refuse(downstream, record, 'plain text, and the mode is STRICT')
    return relay(downstream, applicationAt(to), record)
  }
  // TLS that is not Istio's is the application's own business, unless only Istio's is allowed.
  const isOurs = first.protocols.some((name) => name.startsWith('istio'))
  if (mode === 'PERMISSIVE' && !isOurs) return relay(downstream, applicationAt(to), record)
  record.set({tls: 'mtls'})
  terminate(downstream, config, record, (plain) => relay(plain, applicationAt(to), record))
}

function applicationAt({address, port}: Place): Socket {
  const localAddress = OWN_SOURCE[isIPv6(address) ? 6 : 4]
  return connect({host: address, port, localAddress, allowHalfOpen: true})
}

function terminate(
  downstream: Socket,
  config: SidecarConfig,
  record: ConnectionRecord,
  use: (plain: Socket) => void,
): void {
  const server = createServer({
    ca: config.authorityPem,
    cert: config.certificatePem,
    key: config.keyPem,
    requestCert: true,
    // Checked below: Node would only hang up and tell nobody why.
    rejectUnauthorized: false,
    ALPNProtocols: ['istio'],
    allowHalfOpen: true,
  })
  server.on('tlsClientError', (error) => refuse(downstream, record, `TLS: ${messageOf(error)}`))
  server.on('secureConnection', (plain: TLSSocket) => {
    if (!plain.authorized) {
      refuse(downstream, record, `TLS: client certificate: ${messageOf(plain.authorizationError)}`)
      plain.destroy()
      return
    }
    record.set({peer: spiffeNamesOf(plain.getPeerCertificate().subjectaltname)[0] ?? null})
    use(plain)
  })
  downstream.once('close', () => record.finish('closed'))
  server.emit('connection', downstream)
}
