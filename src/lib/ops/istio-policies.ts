// SPDX-License-Identifier: Apache-2.0
/** Reads what of Istio decides between plain text and TLS: PeerAuthentications, DestinationRules, settings of the mesh. */
import {parse} from 'yaml'
import {DeniedError, KubeStatusError, messageOf} from '../errors.ts'
import type {IstioPolicies} from '../model/client-tls.ts'
import {
  DEFAULT_MESH,
  type DestinationRule,
  type MeshSettings,
  type PeerAuthentication,
} from '../model/istio-policy.ts'
import {type KubeObject, RESOURCES} from '../model/kube.ts'
import type {ReportWarning} from '../model/report.ts'
import type {Kube, ResourcePath} from '../ports.ts'

const PEER_AUTHENTICATIONS = {group: 'security.istio.io', resource: 'peerauthentications'}
const DESTINATION_RULES = {group: 'networking.istio.io', resource: 'destinationrules'}
/** Istio before 1.22 serves the second only; what we read is the same in both. */
const VERSIONS = ['v1', 'v1beta1']
const MESH_CONFIG = {...RESOURCES.configmaps, namespace: 'istio-system', name: 'istio'}

export interface FoundPolicies {
  /** Undefined: they may not be read, so nothing that depends on them is known. */
  readonly policies: IstioPolicies | undefined
  readonly warnings: readonly ReportWarning[]
}

/**
 * A cluster without Istio's kinds has no such policies.
 *
 * @param hasRevisions - namespaces ask for sidecars of a revision of Istio
 * @throws what is neither missing nor denied
 */
export async function readPolicies(
  kube: Kube,
  signal: AbortSignal,
  hasRevisions: boolean,
): Promise<FoundPolicies> {
  const warnings: ReportWarning[] = []
  const [peerAuthentications, destinationRules, mesh] = await Promise.all([
    listOrNothing<PeerAuthentication>(kube, PEER_AUTHENTICATIONS, signal, warnings),
    listOrNothing<DestinationRule>(kube, DESTINATION_RULES, signal, warnings),
    readMesh(kube, signal, warnings),
  ])
  if (mesh === undefined || peerAuthentications === undefined || destinationRules === undefined)
    return {policies: undefined, warnings}
  if (mesh === DEFAULT_MESH && hasRevisions) warnings.push({code: 'MeshDefaults', message: DEFAULTS_TEXT})
  return {policies: {mesh, peerAuthentications, destinationRules}, warnings}
}

const DEFAULTS_TEXT = `there is no ConfigMap ${MESH_CONFIG.namespace}/${MESH_CONFIG.name}: Istio's default settings are taken; a revision of Istio has its own in ${MESH_CONFIG.name}-REVISION, which is not read`

async function listOrNothing<T extends KubeObject>(
  kube: Kube,
  kind: Omit<ResourcePath, 'version'>,
  signal: AbortSignal,
  warnings: ReportWarning[],
): Promise<readonly T[] | undefined> {
  try {
    for (const version of VERSIONS) {
      const items = await listIfServed<T>(kube, {...kind, version}, signal)
      if (items !== undefined) return items
    }
    return []
  } catch (error) {
    if (!(error instanceof DeniedError)) throw error
    warnings.push({
      code: 'PolicyUnreadable',
      message: `${messageOf(error)}: verdicts that depend on ${kind.resource} are unknown`,
    })
    return undefined
  }
}

async function listIfServed<T extends KubeObject>(
  kube: Kube,
  path: ResourcePath,
  signal: AbortSignal,
): Promise<readonly T[] | undefined> {
  try {
    return (await kube.list<T>(path, {signal})).items
  } catch (error) {
    if (error instanceof KubeStatusError && error.status === 404) return undefined
    throw error
  }
}

/** Istio's defaults where nobody configured it; undefined where that cannot be read, which may say something else. */
async function readMesh(
  kube: Kube,
  signal: AbortSignal,
  warnings: ReportWarning[],
): Promise<MeshSettings | undefined> {
  try {
    const found = await kube.get<KubeObject & {readonly data?: Readonly<Record<string, string>>}>(
      MESH_CONFIG,
      {
        signal,
      },
    )
    return meshOf(parse(found.data?.['mesh'] ?? ''))
  } catch (error) {
    if (error instanceof KubeStatusError && error.status === 404) return DEFAULT_MESH
    if (error instanceof KubeStatusError && !(error instanceof DeniedError)) throw error
    if (signal.aborted) throw error
    const name = `${MESH_CONFIG.namespace}/${MESH_CONFIG.name}`
    warnings.push({
      code: 'PolicyUnreadable',
      message: `ConfigMap ${name}: ${messageOf(error)}: verdicts that depend on Istio's settings are unknown`,
    })
    return undefined
  }
}

function meshOf(config: unknown): MeshSettings {
  const fields = (typeof config === 'object' && config !== null ? config : {}) as Record<string, unknown>
  const {rootNamespace, enableAutoMtls} = fields
  return {
    ...DEFAULT_MESH,
    ...(typeof rootNamespace === 'string' && rootNamespace !== '' ? {rootNamespace} : {}),
    ...(typeof enableAutoMtls === 'boolean' ? {autoMtls: enableAutoMtls} : {}),
  }
}
