// SPDX-License-Identifier: Apache-2.0
/** Bearer tokens of service accounts: signed here, good here, while the account is the same and time has not run out. */
import {generateKeyPairSync, randomUUID, sign, verify} from 'node:crypto'
import type {Clock} from '../../ports.ts'
import type {User} from './authenticate.ts'
import {timestamp} from './managed-fields.ts'
import {arrayOf, type Fields, fieldsOf, isFields, type StoredObject, textOf} from './object.ts'
import {resourceRow} from './resources.ts'
import {invalid, type StatusCause} from './status.ts'
import type {Store} from './store.ts'

const ISSUER = 'https://kubernetes.default.svc.cluster.local'
const DEFAULT_SECONDS = 3600
const MIN_SECONDS = 600
const MAX_SECONDS = 2 ** 32
const HEADER = base64url({alg: 'ES256', typ: 'JWT'})
const TOKEN_MAX_LENGTH = 16_384

export interface TokenOwner {
  readonly user: User
  readonly audiences: readonly string[]
}

export interface Tokens {
  /** A TokenRequest with its answer. @throws StatusError 422 */
  issue(account: StoredObject, request: Fields): Fields
  /** Whose token it is; undefined where it is none of ours, is too old, or its account is gone. */
  owner(token: string): TokenOwner | undefined
}

/** The signing key lives as long as the server does. */
export function createTokens(store: Store, clock: Clock): Tokens {
  const keys = generateKeyPairSync('ec', {namedCurve: 'P-256'})
  const key = {key: keys.privateKey, dsaEncoding: 'ieee-p1363'} as const
  const publicKey = {key: keys.publicKey, dsaEncoding: 'ieee-p1363'} as const

  function issue(account: StoredObject, request: Fields): Fields {
    const spec = fieldsOf(request['spec'])
    const seconds = requestedSeconds(spec)
    const nowSeconds = Math.floor(clock.nowMs() / 1000)
    const given = arrayOf(spec['audiences']).filter((one) => typeof one === 'string')
    const audiences = given.length > 0 ? given : [ISSUER]
    const {name, namespace = '', uid} = account.metadata
    const claims = {
      iss: ISSUER,
      sub: `system:serviceaccount:${namespace}:${name}`,
      aud: audiences,
      exp: nowSeconds + seconds,
      iat: nowSeconds,
      nbf: nowSeconds,
      jti: randomUUID(),
      'kubernetes.io': {namespace, serviceaccount: {name, uid}},
    }
    const text = `${HEADER}.${base64url(claims)}`
    const token = `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`
    return {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: {name, namespace, creationTimestamp: timestamp(clock.nowMs())},
      spec: {audiences, expirationSeconds: seconds, boundObjectRef: null},
      status: {token, expirationTimestamp: timestamp((nowSeconds + seconds) * 1000)},
    }
  }

  function owner(token: string): TokenOwner | undefined {
    const [header, payload = '', signature = ''] = token.length > TOKEN_MAX_LENGTH ? [] : token.split('.')
    // One algorithm only: the header of a forged token decides nothing.
    if (header !== HEADER) return undefined
    const bytes = Buffer.from(signature, 'base64url')
    if (!verify('sha256', Buffer.from(`${header}.${payload}`), publicKey, bytes)) return undefined
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Fields
    if (Number(claims['exp']) * 1000 <= clock.nowMs()) return undefined
    const {namespace, serviceaccount} = fieldsOf(claims['kubernetes.io'])
    const {name, uid} = fieldsOf(serviceaccount)
    const account = store.get(resourceRow('serviceaccounts'), textOf(namespace), textOf(name))
    if (account === undefined || account.metadata.uid !== uid) return undefined
    const audiences = arrayOf(claims['aud']) as string[]
    return {user: accountUser(textOf(namespace), textOf(name)), audiences}
  }

  return {issue, owner}
}

/** The user that a service account is. */
export function accountUser(namespace: string, name: string): User {
  return {
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  }
}

/** The token may be shown to this server. */
export function isForApi(owner: TokenOwner): boolean {
  return owner.audiences.includes(ISSUER)
}

function requestedSeconds(spec: Fields): number {
  const seconds = spec['expirationSeconds'] ?? DEFAULT_SECONDS
  const causes: StatusCause[] = []
  const field = 'spec.expirationSeconds'
  const add = (why: string): void =>
    void causes.push({
      reason: 'FieldValueInvalid',
      message: `Invalid value: ${JSON.stringify(seconds)}: ${why}`,
      field,
    })
  if (Number(seconds) < MIN_SECONDS) add('may not specify a duration less than 10 minutes')
  if (Number(seconds) > MAX_SECONDS) add('may not specify a duration larger than 2^32 seconds')
  if (isFields(spec['boundObjectRef'])) {
    const message = 'Forbidden: bound tokens are not part of the sandbox (see --control-plane)'
    causes.push({reason: 'FieldValueForbidden', message, field: 'spec.boundObjectRef'})
  }
  if (causes.length > 0) throw invalid({group: 'authentication.k8s.io', kind: 'TokenRequest'}, '', causes)
  return Number(seconds)
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
