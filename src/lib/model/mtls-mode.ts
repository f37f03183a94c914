// SPDX-License-Identifier: Apache-2.0
/** Which mTLS mode a server port has, from every PeerAuthentication of the mesh (ComposePeerAuthentication of Istio). */
import {byAge, hasSelector, type MeshSettings, type PeerAuthentication, selects} from './istio-policy.ts'

export type MtlsMode = 'STRICT' | 'PERMISSIVE' | 'DISABLE'

export interface EffectiveMtls {
  readonly mode: MtlsMode
  /** Where the mode was set. `default`: nowhere. */
  readonly scope: 'default' | 'mesh' | 'namespace' | 'workload' | 'port'
  /** `namespace/name` of the object that set it. */
  readonly policy: string | null
}

export interface ServerWorkload {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>> | undefined
}

const NOWHERE: EffectiveMtls = {mode: 'PERMISSIVE', scope: 'default', policy: null}

/** @param targetPort - of the container; the service's port has no say */
export function effectiveMtls(
  policies: readonly PeerAuthentication[],
  server: ServerWorkload,
  targetPort: number,
  mesh: MeshSettings,
): EffectiveMtls {
  const {namespace, labels} = server
  const above = namespaceMtls(policies, namespace, mesh)
  const own = policies.filter(
    (policy) =>
      policy.metadata.namespace === namespace &&
      namespace !== mesh.rootNamespace &&
      hasSelector(policy.spec?.selector) &&
      selects(policy.spec?.selector, labels),
  )
  const winner = oldest(own)
  const workload = overridden(above, winner, winner?.spec?.mtls?.mode, 'workload')
  return overridden(workload, winner, winner?.spec?.portLevelMtls?.[String(targetPort)]?.mode, 'port')
}

/** Without workloads: what a client's sidecar assumes of a service of that namespace. */
export function namespaceMtls(
  policies: readonly PeerAuthentication[],
  namespace: string,
  {rootNamespace}: MeshSettings,
): EffectiveMtls {
  const ofNamespace = (name: string): PeerAuthentication | undefined =>
    oldest(policies.filter(({metadata, spec}) => metadata.namespace === name && !hasSelector(spec?.selector)))
  const root = ofNamespace(rootNamespace)
  const mesh = overridden(NOWHERE, root, root?.spec?.mtls?.mode, 'mesh')
  if (namespace === rootNamespace) return mesh
  const own = ofNamespace(namespace)
  return overridden(mesh, own, own?.spec?.mtls?.mode, 'namespace')
}

/** The oldest counts alone, even where it says nothing: nothing is merged. */
function oldest(policies: readonly PeerAuthentication[]): PeerAuthentication | undefined {
  return [...policies].sort(byAge)[0]
}

/** UNSET, a missing mode and what we do not know leave what is above. */
function overridden(
  above: EffectiveMtls,
  policy: PeerAuthentication | undefined,
  mode: string | undefined,
  scope: EffectiveMtls['scope'],
): EffectiveMtls {
  if (policy === undefined || (mode !== 'STRICT' && mode !== 'PERMISSIVE' && mode !== 'DISABLE')) return above
  const {namespace, name} = policy.metadata
  return {mode, scope, policy: `${namespace}/${name}`}
}
