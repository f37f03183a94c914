// SPDX-License-Identifier: Apache-2.0
/** What the entries of a kubeconfig give a request: certificates, tokens, impersonation. */
import {readFileSync} from 'node:fs'
import type {ConnectionOptions} from 'node:tls'
import type {Cluster, User} from '@kubernetes/client-node'
import {KmeshError, messageOf, UsageError} from '../errors.ts'
import type {HttpsOptions} from './kubeconfig-plugins.ts'
import {readToken, tokenFileOf} from './token-file.ts'

export interface Credentials {
  readonly tls: ConnectionOptions
  /** Authorization and impersonation. */
  readonly headers: Readonly<Record<string, string | string[]>>
}

/** Who is acted as. */
export interface Impersonation {
  readonly asUser?: string | undefined
  readonly asGroups?: readonly string[] | undefined
  readonly asUid?: string | undefined
}

/** @throws UsageError */
export function impersonationHeaders({
  asUser,
  asGroups,
  asUid,
}: Impersonation): Record<string, string | string[]> {
  if (asUser === undefined && (asUid !== undefined || asGroups?.length)) {
    throw new UsageError('--as-group and --as-uid need --as', {parameter: '--as'})
  }
  return {
    ...(asUser === undefined ? {} : {'Impersonate-User': asUser}),
    ...(asGroups?.length ? {'Impersonate-Group': [...asGroups]} : {}),
    ...(asUid === undefined ? {} : {'Impersonate-Uid': asUid}),
  }
}

/** Without plugin and provider everything stands in the entries: client-node, 50 ms of CPU, is not needed then. */
export async function optionsOf(cluster: Cluster, user: User): Promise<() => Promise<HttpsOptions>> {
  const isPlain = !user.authProvider || tokenFileOf(user) !== undefined
  if (!user.exec && isPlain) return async () => plainOptions(cluster, user)
  const {pluginOptions} = await import('./kubeconfig-plugins.ts')
  return pluginOptions(cluster, user)
}

/** What client-node makes of certificates and tokens in the entries; files are read again each time. */
function plainOptions(cluster: Cluster, user: User): HttpsOptions {
  const ca = bytesOf(cluster.caFile, cluster.caData)
  const cert = bytesOf(user.certFile, user.certData)
  const key = bytesOf(user.keyFile, user.keyData)
  const tokenFile = tokenFileOf(user)
  const token = tokenFile === undefined ? user.token : readToken(tokenFile)
  return {
    ...(cluster.skipTLSVerify ? {rejectUnauthorized: false} : {}),
    ...(cluster.tlsServerName ? {servername: cluster.tlsServerName} : {}),
    ...(ca ? {ca} : {}),
    ...(cert ? {cert} : {}),
    ...(key ? {key} : {}),
    headers: {
      ...(user.impersonateUser ? {'Impersonate-User': user.impersonateUser} : {}),
      ...(token ? {Authorization: `Bearer ${token}`} : {}),
    },
  }
}

function bytesOf(file: string | undefined, base64: string | undefined): Buffer | undefined {
  if (file) return readFileSync(file)
  return base64 ? Buffer.from(base64, 'base64') : undefined
}

export async function credentialsOf(
  read: () => Promise<HttpsOptions>,
  user: User,
  impersonation: Readonly<Record<string, string | string[]>>,
): Promise<Credentials> {
  let options: HttpsOptions
  try {
    options = await read()
  } catch (error) {
    throw new KmeshError(`no credentials for user '${user.name}': ${messageOf(error)}`, {
      code: 'NoCredentials',
      cause: error,
    })
  }
  const {ca, cert, key, pfx, passphrase, rejectUnauthorized, servername, headers} = options
  const tls = {ca, cert, key, pfx, passphrase, rejectUnauthorized, servername}
  const basic = user.username
    ? {Authorization: `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`}
    : {}
  return {tls: withoutUndefined(tls), headers: {...basic, ...headers, ...impersonation}}
}

function withoutUndefined(options: object): ConnectionOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
