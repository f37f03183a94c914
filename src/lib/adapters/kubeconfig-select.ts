// SPDX-License-Identifier: Apache-2.0
/** Context, cluster and user of merged kubeconfigs, as flags change them. */
import {readFileSync} from 'node:fs'
import type {Cluster, Context, User} from '@kubernetes/client-node'
import {KmeshError, messageOf, UsageError} from '../errors.ts'
import type {Configs, ConnectionRequest} from './kubeconfig.ts'

interface Selection {
  readonly context: Context | undefined
  readonly cluster: Cluster
  readonly user: User
}

/** @throws UsageError for a name that is not there, KmeshError `NoCluster` */
export function select(config: Configs, request: ConnectionRequest): Selection {
  const contextName = request.context ?? config.currentContext
  const context = pick(config.contexts, request.context, contextName, '--context')
  const clusterName = request.cluster ?? context?.cluster
  const found = pick(config.clusters, clusterName, clusterName, request.cluster ? '--cluster' : 'cluster')
  const userName = request.user ?? context?.user
  const user = pick(config.users, userName, userName, request.user ? '--user' : 'user')
  const server = request.server ?? found?.server
  if (!server) throw noCluster()
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol)) {
    throw new UsageError(`the API server '${server}' is not an http(s) URL`, {parameter: '--server'})
  }
  if (new URL(server).protocol === 'http:' && !(request.insecureSkipTlsVerify || found?.skipTLSVerify)) {
    throw new UsageError(
      `the API server '${server}' is asked without TLS: everything is readable on the way`,
      {
        parameter: '--server',
        hints: ['--insecure-skip-tls-verify allows it'],
      },
    )
  }
  return {context, cluster: withClusterFlags(found, server, request), user: withToken(user, request)}
}

function pick<T extends {name: string}>(
  all: readonly T[],
  required: string | undefined,
  name: string | undefined,
  what: string,
): T | undefined {
  const found = all.find((one) => one.name === name)
  if (found === undefined && required !== undefined && required !== '') {
    const names = all.map((one) => one.name).join(', ')
    throw new UsageError(`${what} '${required}' is not in the kubeconfig`, {
      parameter: what,
      hints: [names === '' ? 'the kubeconfig has none' : `there are: ${names}`],
    })
  }
  return found
}

function noCluster(): KmeshError {
  return new KmeshError('no cluster: no kubeconfig with a current context was found', {
    code: 'NoCluster',
    hints: [
      'set KUBECONFIG, or use --kubeconfig, --context or --server',
      'kmeshctl sandbox up starts a cluster on this machine',
    ],
  })
}

function withClusterFlags(found: Cluster | undefined, server: string, request: ConnectionRequest): Cluster {
  const {certificateAuthority, tlsServerName, insecureSkipTlsVerify} = request
  if (certificateAuthority !== undefined) readFlagFile('--certificate-authority', certificateAuthority)
  const base: Cluster = found ?? {name: 'flags', server, skipTLSVerify: false}
  const {caData: _caData, caFile: _caFile, ...withoutCa} = base
  return {
    ...(certificateAuthority === undefined ? base : {...withoutCa, caFile: certificateAuthority}),
    server,
    ...(tlsServerName === undefined ? {} : {tlsServerName}),
    ...(insecureSkipTlsVerify ? {skipTLSVerify: true} : {}),
  }
}

function withToken(user: User | undefined, request: ConnectionRequest): User {
  const token =
    request.tokenFile === undefined ? request.token : readFlagFile('--token-file', request.tokenFile).trim()
  if (token !== undefined && token !== '') return {name: 'flags', token}
  return user ?? {name: 'anonymous'}
}

function readFlagFile(flag: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`${flag}: cannot read ${file}: ${messageOf(error)}`, {parameter: flag, cause: error})
  }
}
