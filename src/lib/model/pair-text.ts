// SPDX-License-Identifier: Apache-2.0
/** Why a pair works or not, and what to do, in words for operators. One row a reason. */
import type {PairReason} from './pair-verdict.ts'

export interface PairText {
  readonly why: string
  /** Null where nothing needs to be done. */
  readonly fix: string | null
}

export const PAIR_TEXTS: Readonly<Record<PairReason, PairText>> = {
  Direct: {why: 'the connection reaches the application as it is', fix: null},
  EnvoyReceives: {why: "the server's sidecar takes plain text", fix: null},
  MutualTls: {why: "both sidecars speak Istio's mTLS", fix: null},
  StrictRefusesPlainText: {
    why: 'the client sends plain text, the server takes TLS only',
    fix: 'set the mTLS mode of that port to PERMISSIVE, or keep a sidecar on the client',
  },
  NobodyDecrypts: {
    why: "the client's sidecar sends TLS and nobody at the server decrypts it",
    fix: 'enroll the client too, or switch TLS off for that service with a DestinationRule of mode DISABLE',
  },
  ServerEnvoyHasNoTls: {
    why: "the client's sidecar sends mTLS, which the server's port has disabled",
    fix: 'let DestinationRule and PeerAuthentication of that port agree',
  },
  NoClientCertificate: {
    why: 'the client sends TLS without a certificate, the server asks for one',
    fix: 'use mode ISTIO_MUTUAL in the DestinationRule',
  },
  TlsReachesApplication: {
    why: "the server's sidecar hands this TLS on: it works where the application itself speaks it",
    fix: 'use mode ISTIO_MUTUAL in the DestinationRule if the application speaks plain text',
  },
  ForeignCertificates: {
    why: 'whether the server trusts the certificates of the DestinationRule cannot be seen from here',
    fix: 'use mode ISTIO_MUTUAL in the DestinationRule',
  },
  MixedHeadless: {
    why: 'some endpoints of this headless service have a sidecar and some have none',
    fix: 'give all of them a sidecar, or say the TLS mode in a DestinationRule',
  },
  SubsetDecides: {
    why: 'subsets of the DestinationRule differ in TLS, and which one is called is said by VirtualServices, which are not read',
    fix: 'give the subsets the TLS mode of the rule, or look at the VirtualServices of that host',
  },
  CapturedBesideSidecar: {
    why: 'Kmesh and a sidecar both have the pod: who wins is not defined',
    fix: 'take the pod out of one of them',
  },
  Ambient: {why: 'one of the pods is in ambient mode, which is not judged here', fix: null},
  CaptureUnknown: {
    why: 'nobody tells who has the traffic of one of the pods',
    fix: 'look at the daemon of its node: kmeshctl status',
  },
  PolicyUnreadable: {
    why: 'PeerAuthentications or DestinationRules may not be read, so the TLS modes are not known',
    fix: 'ask for the right to list them',
  },
}
