// SPDX-License-Identifier: Apache-2.0
/** What an install can be told, and what belongs to an install. Pure. */
import type {ExistingPods, SidecarPolicy} from './api.ts'
import type {KubeObject} from './kube.ts'

export interface InstallSettings {
  readonly namespace: string
  readonly image: string
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
  readonly imagePullSecrets: readonly string[]
  readonly existingPods: ExistingPods
  readonly sidecarPolicy: SidecarPolicy
  readonly logLevel: string
  readonly cni: boolean
  readonly failurePolicy: 'fail' | 'ignore'
  /** Undefined: the lexically first usable conflist. */
  readonly conflistName: string | undefined
  /** Paths of the nodes, not of the agent's container. */
  readonly hostPaths: HostPaths
  readonly nodeSelector: Readonly<Record<string, string>>
  /** Further options of the agent: name (without dashes) -> value; null is an option without one. */
  readonly agentOptions: Readonly<Record<string, string | null>>
  /** Of kmeshctl and the agent, such as `0.1.0`. */
  readonly version: string
}

export interface HostPaths {
  readonly bpfFs: string
  readonly cgroup2: string
  readonly state: string
  readonly run: string
  readonly cniEtc: string
  readonly cniBin: string
}

export const MESH_NAMESPACE = 'kmesh-system'
const MANAGED_BY = 'app.kubernetes.io/managed-by'
const MANAGER = 'kmeshctl'
/** Names the install that an object is part of: its namespace. */
const INSTALL_LABEL = 'kmeshctl.kmesh.net/install'
/** On the DaemonSet's pods: differs whenever the rest of their template does. */
export const TEMPLATE_ANNOTATION = 'kmeshctl.kmesh.net/template'
/** On the DaemonSet while its pods take Kmesh off their nodes; `uninstall`. */
export const PHASE_ANNOTATION = 'kmeshctl.kmesh.net/phase'
/** Of the DaemonSet and its container. */
export const DAEMON_NAME = 'kmesh'
export const ACCOUNT_NAME = 'kmesh'

export function defaultSettings(version: string): InstallSettings {
  return {
    namespace: MESH_NAMESPACE,
    image: defaultImage(version),
    imagePullPolicy: 'IfNotPresent',
    imagePullSecrets: [],
    existingPods: 'live',
    sidecarPolicy: 'bypass',
    logLevel: 'info',
    cni: true,
    failurePolicy: 'fail',
    conflistName: undefined,
    hostPaths: {
      bpfFs: '/sys/fs/bpf',
      cgroup2: '/sys/fs/cgroup',
      state: '/var/lib/kmesh',
      run: '/var/run/kmesh',
      cniEtc: '/etc/cni/net.d',
      cniBin: '/opt/cni/bin',
    },
    nodeSelector: {},
    agentOptions: {},
    version,
  }
}

/** What deploy/Dockerfile is tagged as; in no registry. */
export function defaultImage(version: string): string {
  return `kmesh-daemon:v${version}`
}

export function ownLabels(settings: Pick<InstallSettings, 'namespace'>): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'kmesh',
    'app.kubernetes.io/part-of': 'kmesh',
    [MANAGED_BY]: MANAGER,
    [INSTALL_LABEL]: settings.namespace,
  }
}

/** Selects what belongs to the install of a namespace. */
export function ownSelector(namespace: string): string {
  return `${MANAGED_BY}=${MANAGER},${INSTALL_LABEL}=${namespace}`
}

/** Namespace of the install that made the object; undefined where kmeshctl did not make it. */
export function installOf({metadata}: KubeObject): string | undefined {
  return metadata.labels?.[MANAGED_BY] === MANAGER ? metadata.labels[INSTALL_LABEL] : undefined
}
