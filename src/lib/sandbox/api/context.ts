// SPDX-License-Identifier: Apache-2.0
/** Everything that requests share, empty but for what every cluster has. */
import {ServiceRanges} from './addresses.ts'
import {followDefinitions} from './custom-resources.ts'
import type {ApiContext} from './exchange.ts'
import {rbacAuthorizer} from './rbac.ts'
import {bootstrapRoles} from './rbac-bootstrap.ts'
import {Registry} from './registry.ts'
import type {ApiServerOptions} from './server.ts'
import {Store} from './store.ts'
import {createTokens} from './tokens.ts'

export function apiContext(options: ApiServerOptions): ApiContext {
  const {clock, dialNode} = options
  const store = new Store(clock.nowMs(), options.historyLimit)
  const registry = new Registry()
  const ranges = new ServiceRanges(options.serviceCidrs)
  bootstrapRoles(store, clock.nowMs())
  followDefinitions(store, registry, () => ({
    store,
    ranges,
    dryRun: false,
    writer: {manager: 'kube-apiserver', subresource: '', nowMs: clock.nowMs()},
  }))
  const authorize = options.authorize ?? rbacAuthorizer(store)
  return {store, registry, ranges, clock, dialNode, authorize, tokens: createTokens(store, clock)}
}
