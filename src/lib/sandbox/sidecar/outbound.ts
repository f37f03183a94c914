// SPDX-License-Identifier: Apache-2.0
/** Port 15001: connections of the application, to an endpoint as its service's rules want it, others as they are. */
import {connect as connectPlain, isIPv6, type Socket} from 'node:net'
import {connect as connectTls, type TLSSocket} from 'node:tls'
import {messageOf} from '../../errors.ts'
import type {SidecarConfig, SidecarEndpoint, SidecarService} from './config.ts'
import {type ConnectionRecord, type Place, placeText, spiffeNamesOf} from './connection-log.ts'
import {refuse, relay} from './relay.ts'

const ISTIO_PROTOCOLS = ['istio-peer-exchange', 'istio']

interface Route {
  readonly service: SidecarService | undefined
  /** Undefined where the service has none that is ready. */
  readonly endpoint: SidecarEndpoint | undefined
}

/** @param random 0 to 1, below 1 */
export function routeOf(config: SidecarConfig, to: Place, random: () => number): Route {
  const service = config.services.find(
    ({addresses, port}) => port === to.port && addresses.includes(to.address),
  )
  if (service !== undefined) {
    const usable = service.endpoints.filter(({address}) => isIPv6(address) === isIPv6(to.address))
    return {service, endpoint: usable[Math.floor(random() * usable.length)]}
  }
  for (const headless of config.services.filter((one) => one.headless && one.port === to.port)) {
    const endpoint = headless.endpoints.find(({address}) => address === to.address)
    if (endpoint !== undefined) return {service: headless, endpoint: {...endpoint, port: to.port}}
  }
  return {service: undefined, endpoint: {...to, send: 'none', peers: []}}
}

export function handleOutbound(
  downstream: Socket,
  to: Place,
  config: SidecarConfig,
  record: ConnectionRecord,
  random: () => number,
): void {
  const {service, endpoint} = routeOf(config, to, random)
  if (service !== undefined) record.set({service: `${service.namespace}/${service.name}:${service.port}`})
  if (endpoint === undefined) {
    refuse(downstream, record, 'no endpoint is ready')
    return
  }
  record.set({endpoint: placeText(endpoint), tls: endpoint.send})
  try {
    relay(downstream, upstreamOf(endpoint, service, config, record), record)
  } catch (error) {
    // Of a name in a DestinationRule that TLS cannot send: an address.
    refuse(downstream, record, messageOf(error))
  }
}

function upstreamOf(
  endpoint: SidecarEndpoint,
  service: SidecarService | undefined,
  config: SidecarConfig,
  record: ConnectionRecord,
): Socket {
  const target = {host: endpoint.address, port: endpoint.port, allowHalfOpen: true}
  if (endpoint.send === 'none') return connectPlain(target)
  const servername = service?.sni ?? ''
  if (endpoint.send !== 'mtls') {
    // Its certificate would come from files of the pod, which the sandbox has not: it is nobody's.
    return connectTls({...target, servername, rejectUnauthorized: service?.insecureSkipVerify !== true})
  }
  const socket: TLSSocket = connectTls({
    ...target,
    servername,
    ca: config.authorityPem,
    cert: config.certificatePem,
    key: config.keyPem,
    ALPNProtocols: ISTIO_PROTOCOLS,
    checkServerIdentity: (_host, {subjectaltname}) =>
      wrongPeer(spiffeNamesOf(subjectaltname), endpoint.peers),
  })
  socket.once('secureConnect', () => {
    record.set({peer: spiffeNamesOf(socket.getPeerCertificate().subjectaltname)[0] ?? null})
  })
  return socket
}

function wrongPeer(names: readonly string[], expected: readonly string[]): Error | undefined {
  // Endpoints that are no pods have no account to compare with.
  if (expected.length === 0 || names.some((name) => expected.includes(name))) return undefined
  return new Error(`the server is ${names.join(', ')}, expected ${expected.join(', ')}`)
}
