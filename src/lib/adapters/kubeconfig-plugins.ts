// SPDX-License-Identifier: Apache-2.0
/** What needs client-node: exec plugins, auth providers, token files, the account of a pod. Loaded when it is used. */
import type {ConnectionOptions} from 'node:tls'
import {type Cluster, KubeConfig, type User} from '@kubernetes/client-node'

export type HttpsOptions = ConnectionOptions & {headers?: Record<string, string>}

/** Asks plugins and reads token files; what they bring is kept by the returned function's KubeConfig. */
export function pluginOptions(cluster: Cluster, user: User): () => Promise<HttpsOptions> {
  const config = new KubeConfig()
  config.loadFromOptions({
    clusters: [cluster],
    users: [user],
    contexts: [{name: 'kmeshctl', cluster: cluster.name, user: user.name}],
    currentContext: 'kmeshctl',
  })
  return async () => {
    const options: HttpsOptions = {}
    await config.applyToHTTPSOptions(options as Parameters<KubeConfig['applyToHTTPSOptions']>[0])
    return options
  }
}

/** Cluster, user and context of the account that is mounted into this pod. */
export function inClusterConfig(): Pick<KubeConfig, 'clusters' | 'users' | 'contexts' | 'currentContext'> {
  const config = new KubeConfig()
  config.loadFromCluster()
  return config
}
