// SPDX-License-Identifier: Apache-2.0
/** What a client's sidecar sends to the endpoints of a service port. */
import type {PortTls} from './destination-choice.ts'
import type {TlsSettings} from './policy-objects.ts'
import {type Mode, modeOfPort, type ReceiveModes} from './receive-mode.ts'

/** `mtls` is Istio's own; `mutual` is TLS with a certificate that somebody else made. */
export type Send = 'none' | 'mtls' | 'simple' | 'mutual'

export interface EndpointFacts {
  /** Label `security.istio.io/tlsMode`. */
  readonly tlsMode: string | undefined
  readonly modes: ReceiveModes
  /** Port of the pod. */
  readonly port: number
}

export interface ServiceFacts {
  readonly headless: boolean
  /** Of the service's namespace, inherited from the mesh: pods' own policies do not count. */
  readonly namespaceMode: Mode
  /** Of the mesh: without it nothing is encrypted that no rule names. */
  readonly autoMtls: boolean
}

const BY_MODE: Readonly<Record<string, Send>> = {
  DISABLE: 'none',
  SIMPLE: 'simple',
  MUTUAL: 'mutual',
  ISTIO_MUTUAL: 'mtls',
}

/** Settings without a mode are as none. */
function forced(settings: TlsSettings | undefined): Send | undefined {
  if (settings === undefined) return undefined
  return BY_MODE[settings.mode ?? 'DISABLE']
}

/** One answer an endpoint, in their order. */
export function sendTo(service: ServiceFacts, tls: PortTls, endpoints: readonly EndpointFacts[]): Send[] {
  const written = forced(tls.settings)
  if (written !== undefined) return endpoints.map(() => written)
  if (!service.autoMtls || service.namespaceMode === 'DISABLE') return endpoints.map(() => 'none')
  const hasSidecar = ({tlsMode}: EndpointFacts): boolean => tlsMode === 'istio'
  if (service.headless) {
    const all = endpoints.every(hasSidecar)
    return endpoints.map(() => (all ? 'mtls' : 'none'))
  }
  return endpoints.map((endpoint) => {
    if (!hasSidecar(endpoint)) return 'none'
    // A top level that a port entry covers still counts when sidecars compare endpoints.
    if (tls.covered !== undefined) return tls.covered === 'ISTIO_MUTUAL' ? 'mtls' : 'none'
    return modeOfPort(endpoint.modes, endpoint.port) === 'DISABLE' ? 'none' : 'mtls'
  })
}
