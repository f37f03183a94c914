// SPDX-License-Identifier: Apache-2.0
/** Ids and names of services, workloads and policies (contracts 4.9, design section 4). */

/** FNV-1a, 32 bits, over the UTF-8 bytes. */
export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text, 'utf8')) {
    hash = Math.imul(hash ^ byte, 0x01000193)
  }
  return hash >>> 0
}

/** `<namespace>/<hostname>`, the name under which a service has its id. */
export function serviceName(namespace: string, service: string, clusterDomain = 'cluster.local'): string {
  return `${namespace}/${service}.${namespace}.svc.${clusterDomain}`
}

/** Uid of a pod's workload: `Kubernetes//Pod/<namespace>/<pod>`. */
export function workloadName(namespace: string, pod: string, clusterId = 'Kubernetes'): string {
  return `${clusterId}//Pod/${namespace}/${pod}`
}

/** Id of the second family of a dual-stack service or pod: the primary family has the plain name. */
export function secondaryName(name: string, family: 4 | 6): string {
  return `${name}#ipv${family}`
}
