// SPDX-License-Identifier: Apache-2.0
/** What a stand-in sidecar is told: one file, which is replaced whole. */
import type {ReceiveModes} from './receive-mode.ts'
import type {Send} from './send-tls.ts'

/** Name of the environment variable with the file's path. */
export const CONFIG_VARIABLE = 'KMESHCTL_SIDECAR_CONFIG'

export interface SidecarEndpoint {
  readonly address: string
  readonly port: number
  readonly send: Send
  /** Names that its certificate may have; empty where Istio's mTLS is not spoken. */
  readonly peers: readonly string[]
}

export interface SidecarService {
  readonly name: string
  readonly namespace: string
  readonly port: number
  /** Where clients connect to; of a headless service none: they connect to its endpoints. */
  readonly addresses: readonly string[]
  readonly headless: boolean
  /** Of a DestinationRule. */
  readonly sni: string | undefined
  readonly insecureSkipVerify: boolean
  /** Ready ones. */
  readonly endpoints: readonly SidecarEndpoint[]
}

export interface SidecarConfig {
  /** `spiffe://...` */
  readonly identity: string
  readonly certificatePem: string
  /** A secret: the file is its pod's alone. */
  readonly keyPem: string
  /** Whom it trusts. */
  readonly authorityPem: string
  readonly receive: ReceiveModes
  readonly services: readonly SidecarService[]
}

export const PROXY_USER = 1337

export function spiffeName(namespace: string, serviceAccount: string): string {
  return `spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`
}
