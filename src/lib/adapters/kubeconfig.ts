// SPDX-License-Identifier: Apache-2.0
/**
 * Which API server, as whom: kubeconfig files, in-cluster account, flags.
 * client-node's parser reads the entries. Certificates and tokens that stand in
 * them are taken as they are; for plugins client-node is loaded as a whole, see
 * kubeconfig-plugins.ts. Requests are ours, see kube-http.ts.
 */
import {existsSync, readFileSync} from 'node:fs'
import {homedir} from 'node:os'
import {delimiter, dirname, join, resolve} from 'node:path'
import type {Cluster, Context, User} from '@kubernetes/client-node'
import {newClusters, newContexts, newUsers} from '@kubernetes/client-node/dist/config_types.js'
import {load} from 'js-yaml'
import {KmeshError, messageOf} from '../errors.ts'
import {
  type Credentials,
  credentialsOf,
  type Impersonation,
  impersonationHeaders,
  optionsOf,
} from './kubeconfig-credentials.ts'
import {select} from './kubeconfig-select.ts'
import {withTokenFiles} from './token-file.ts'

export interface ConnectionRequest extends Impersonation {
  readonly kubeconfig?: string | undefined
  readonly context?: string | undefined
  readonly cluster?: string | undefined
  readonly user?: string | undefined
  readonly server?: string | undefined
  readonly tokenFile?: string | undefined
  readonly token?: string | undefined
  readonly certificateAuthority?: string | undefined
  readonly tlsServerName?: string | undefined
  readonly insecureSkipTlsVerify?: boolean | undefined
}

/** Where requests go and what they carry. */
export interface Connection {
  /** `https://host:port`, perhaps with a path; no slash at the end. */
  readonly server: string
  /** Of the context, else `default`. */
  readonly namespace: string
  /** Names in the kubeconfig, where one was chosen. */
  readonly contextName?: string
  readonly clusterName?: string
  readonly proxyUrl: string | undefined
  /** Asks exec plugins and reads token files again when they are due. */
  credentials(): Promise<Credentials>
}

const IN_CLUSTER_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token'

/**
 * @throws UsageError for a context, cluster or user that is not there; KmeshError `NoCluster` when nothing is
 * configured, `BadKubeconfig` for a file that cannot be read.
 */
export async function loadConnection(request: ConnectionRequest): Promise<Connection> {
  const merged = await readConfigs(request)
  const {context, cluster, user} = select(merged, request)
  const options = await optionsOf(cluster, user)
  const impersonation = impersonationHeaders(request)
  return {
    server: cluster.server.replace(/\/+$/, ''),
    namespace: context?.namespace || 'default',
    ...(context === undefined ? {} : {contextName: context.name, clusterName: cluster.name}),
    proxyUrl: (cluster as {proxyUrl?: string}).proxyUrl,
    credentials: () => credentialsOf(options, user, impersonation),
  }
}

export interface Configs {
  readonly clusters: readonly Cluster[]
  readonly users: readonly User[]
  readonly contexts: readonly Context[]
  readonly currentContext: string
}

/** All files of the list; where two define a name, the first one wins, as with kubectl. */
export async function readConfigs(request: ConnectionRequest): Promise<Configs> {
  let merged: Configs = {clusters: [], users: [], contexts: [], currentContext: ''}
  for (const file of configFiles(request)) {
    const config = readConfig(file)
    merged = {
      clusters: addNew(merged.clusters, config.clusters),
      users: addNew(merged.users, config.users),
      contexts: addNew(merged.contexts, config.contexts),
      currentContext: merged.currentContext || config.currentContext,
    }
  }
  if (merged.clusters.length > 0 || request.server !== undefined) return merged
  if (!existsSync(IN_CLUSTER_TOKEN) || !process.env['KUBERNETES_SERVICE_HOST']) return merged
  const {inClusterConfig} = await import('./kubeconfig-plugins.ts')
  return inClusterConfig()
}

function configFiles(request: ConnectionRequest): string[] {
  if (request.kubeconfig !== undefined) return [request.kubeconfig]
  const listed = process.env['KUBECONFIG']
  if (listed) return listed.split(delimiter).filter((file) => file !== '' && existsSync(file))
  const home = process.env['HOME'] || safeHome()
  return home === undefined ? [] : [join(home, '.kube', 'config')].filter((file) => existsSync(file))
}

function safeHome(): string | undefined {
  try {
    return homedir()
  } catch {
    return undefined // No HOME and no entry in passwd.
  }
}

function readConfig(file: string): Configs {
  try {
    const fields = (load(readFileSync(file, 'utf8')) ?? {}) as Readonly<Record<string, unknown>>
    const absolute = (path: string): string => resolve(dirname(file), path)
    return {
      clusters: newClusters(fields['clusters']).map((cluster) => withPaths(cluster, ['caFile'], absolute)),
      users: withTokenFiles(newUsers(fields['users']), fields['users'], absolute).map((user) =>
        withPaths(user, ['certFile', 'keyFile'], absolute),
      ),
      contexts: newContexts(fields['contexts']),
      currentContext: String(fields['current-context'] ?? ''),
    }
  } catch (error) {
    throw new KmeshError(`cannot read kubeconfig ${file}: ${messageOf(error)}`, {
      code: 'BadKubeconfig',
      cause: error,
    })
  }
}

/** Paths in a kubeconfig are relative to its folder. */
function withPaths<T extends object>(
  entry: T,
  names: readonly (keyof T)[],
  absolute: (path: string) => string,
): T {
  const paths = names.filter((name) => entry[name]).map((name) => [name, absolute(String(entry[name]))])
  return {...entry, ...Object.fromEntries(paths)}
}

function addNew<T extends {name: string}>(known: readonly T[], more: readonly T[]): T[] {
  return [...known, ...more.filter(({name}) => !known.some((one) => one.name === name))]
}
