// SPDX-License-Identifier: Apache-2.0
/** Does a connection from one pod to one endpoint work, and why (the table of design section 5). Pure. */
import {
  type CalledEndpoint,
  type CalledService,
  type ClientTls,
  clientTls,
  type IstioPolicies,
  type Sent,
} from './client-tls.ts'
import type {RuleClient} from './destination-rule.ts'
import {type EffectiveMtls, effectiveMtls} from './mtls-mode.ts'

/** Who has the traffic of a pod now, whatever its labels say. Null: not known. */
export interface PodCapture {
  readonly kmesh: boolean | null
  readonly sidecar: boolean
  /** Rules in the pod's namespace keep traffic away from its sidecar. */
  readonly bypassed: boolean
  readonly ambient: boolean
}

export type ClientRow = 'plain' | 'kmesh' | 'sidecar' | 'kmesh-bypass' | 'bypassed'
export type ServerColumn = 'plain' | 'kmesh' | 'sidecar' | 'bypassed'
export type PairResult = 'works' | 'fails' | 'unknown'

export type PairReason =
  | 'Direct'
  | 'EnvoyReceives'
  | 'MutualTls'
  | 'StrictRefusesPlainText'
  | 'NobodyDecrypts'
  | 'ServerEnvoyHasNoTls'
  | 'NoClientCertificate'
  | 'TlsReachesApplication'
  | 'ForeignCertificates'
  | 'MixedHeadless'
  | 'SubsetDecides'
  | 'CapturedBesideSidecar'
  | 'Ambient'
  | 'CaptureUnknown'
  | 'PolicyUnreadable'

export interface PairVerdict {
  readonly result: PairResult
  readonly reason: PairReason
  /** Null where the pair stands outside the table. */
  readonly row: ClientRow | null
  readonly column: ServerColumn | null
  /** What the client sends; null: not known. */
  readonly sent: Sent | null
  /** Mode of the server's port, where an Envoy receives; null: none does, or it is not known. */
  readonly mtls: EffectiveMtls | null
  /** DestinationRule that decided what is sent. */
  readonly rule: string | null
}

export interface PairClient extends RuleClient {
  readonly capture: PodCapture
}

export interface PairServer extends CalledEndpoint {
  readonly capture: PodCapture
}

/** A call to a pod's own address: a sidecar passes it through as it is. */
export const DIRECT = null

/**
 * @param policies - undefined where the user may not read them: whatever depends on them is unknown
 * @param service - {@link DIRECT} for a call to the pod's own address
 * @param all - endpoints of the service, the server among them
 */
export function pairVerdict(
  policies: IstioPolicies | undefined,
  client: PairClient,
  service: CalledService | typeof DIRECT,
  server: PairServer,
  all: readonly CalledEndpoint[],
): PairVerdict {
  const place = placeOf(client.capture, server.capture)
  if ('reason' in place) return outside(place.reason)
  const {row, column} = place
  const told = sentBy(row, policies, () =>
    policies === undefined || service === DIRECT
      ? undefined
      : clientTls(policies, client, service, server, all),
  )
  const found = {row, column, sent: told?.sent ?? null, rule: told?.rule ?? null}
  if (told === undefined) return {...found, mtls: null, result: 'unknown', reason: 'PolicyUnreadable'}
  if (told.sent === null)
    return {...found, mtls: null, result: 'unknown', reason: told.undecided ?? 'MixedHeadless'}
  if (column !== 'sidecar') return {...found, mtls: null, ...withoutEnvoy(told.sent)}
  if (policies === undefined) return {...found, mtls: null, result: 'unknown', reason: 'PolicyUnreadable'}
  const mtls = effectiveMtls(policies.peerAuthentications, server, server.targetPort, policies.mesh)
  return {...found, mtls, ...atEnvoy(told.sent, mtls.mode)}
}

/** The cell of the table, or why there is none. */
function placeOf(
  client: PodCapture,
  server: PodCapture,
): {readonly row: ClientRow; readonly column: ServerColumn} | {readonly reason: PairReason} {
  if (client.ambient || server.ambient) return {reason: 'Ambient'}
  if (client.kmesh === null || server.kmesh === null) return {reason: 'CaptureUnknown'}
  if (isBeside(client) || isBeside(server)) return {reason: 'CapturedBesideSidecar'}
  return {row: rowOf(client), column: columnOf(server)}
}

function isBeside({kmesh, sidecar, bypassed}: PodCapture): boolean {
  return kmesh === true && sidecar && !bypassed
}

function rowOf({kmesh, sidecar, bypassed}: PodCapture): ClientRow {
  if (kmesh === true) return sidecar ? 'kmesh-bypass' : 'kmesh'
  if (!sidecar) return 'plain'
  return bypassed ? 'bypassed' : 'sidecar'
}

function columnOf({kmesh, sidecar, bypassed}: PodCapture): ServerColumn {
  if (sidecar) return bypassed ? 'bypassed' : 'sidecar'
  return kmesh === true ? 'kmesh' : 'plain'
}

function outside(reason: PairReason): PairVerdict {
  return {result: 'unknown', reason, row: null, column: null, sent: null, mtls: null, rule: null}
}

const PLAIN_TEXT: ClientTls = {sent: 'plain', rule: null}

/** Only a sidecar that has its pod's traffic encrypts. */
function sentBy(
  row: ClientRow,
  policies: IstioPolicies | undefined,
  ofSidecar: () => ClientTls | undefined,
): ClientTls | undefined {
  if (row !== 'sidecar') return PLAIN_TEXT
  return policies === undefined ? undefined : (ofSidecar() ?? PLAIN_TEXT)
}

type Ending = Pick<PairVerdict, 'result' | 'reason'>

function withoutEnvoy(sent: Sent): Ending {
  return sent === 'plain' ? {result: 'works', reason: 'Direct'} : {result: 'fails', reason: 'NobodyDecrypts'}
}

const AT_ENVOY: Readonly<Record<Sent, Readonly<Record<EffectiveMtls['mode'], Ending>>>> = {
  plain: {
    STRICT: {result: 'fails', reason: 'StrictRefusesPlainText'},
    PERMISSIVE: {result: 'works', reason: 'EnvoyReceives'},
    DISABLE: {result: 'works', reason: 'EnvoyReceives'},
  },
  mtls: {
    STRICT: {result: 'works', reason: 'MutualTls'},
    PERMISSIVE: {result: 'works', reason: 'MutualTls'},
    DISABLE: {result: 'fails', reason: 'ServerEnvoyHasNoTls'},
  },
  tls: {
    STRICT: {result: 'fails', reason: 'NoClientCertificate'},
    PERMISSIVE: {result: 'unknown', reason: 'TlsReachesApplication'},
    DISABLE: {result: 'unknown', reason: 'TlsReachesApplication'},
  },
  mutual: {
    STRICT: {result: 'unknown', reason: 'ForeignCertificates'},
    PERMISSIVE: {result: 'unknown', reason: 'TlsReachesApplication'},
    DISABLE: {result: 'unknown', reason: 'TlsReachesApplication'},
  },
}

function atEnvoy(sent: Sent, mode: EffectiveMtls['mode']): Ending {
  return AT_ENVOY[sent][mode]
}
