// SPDX-License-Identifier: Apache-2.0
/** What Istio's webhook adds to a pod, as data: labels, annotations, containers; pure. */
import type {AppProbe} from './health.ts'
import {appProbes, type ProbedContainer} from './inject-probes.ts'

export interface InjectOptions {
  /** The proxy is an init container that is always restarted. */
  readonly native: boolean
  readonly dualStack: boolean
  readonly tproxy: boolean
  /** Default `default`. */
  readonly revision: string
  /** Flags or environment choose it in a cluster; here it is written down. */
  readonly iptables: 'nft' | 'legacy' | 'native'
}

export interface Metadata {
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>> | null
  readonly annotations?: Readonly<Record<string, string>> | null
}

export interface PodTemplate {
  readonly metadata?: Metadata | null
  readonly spec?: {
    readonly hostNetwork?: boolean
    readonly containers?: readonly (ProbedContainer & {readonly name: string})[]
    readonly initContainers?: readonly {readonly name: string}[] | null
    readonly securityContext?: {readonly fsGroup?: number} | null
  }
}

/** Namespaces that no webhook is called for. */
const SYSTEM_NAMESPACES = ['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage']
const IMAGE = 'docker.io/istio/proxyv2:1.28.0'
const INJECT = 'sidecar.istio.io/inject'
const STATUS = 'sidecar.istio.io/status'
const RESOURCES = {limits: {cpu: '2', memory: '1Gi'}, requests: {cpu: '100m', memory: '128Mi'}} as const

/**
 * Whoever injects by hand has chosen: only what the pod itself forbids counts.
 *
 * @returns why it stays as it is; undefined where it gets a sidecar
 */
export function refusal({metadata, spec}: PodTemplate, namespace: string): string | undefined {
  const {labels, annotations} = {labels: metadata?.labels ?? {}, annotations: metadata?.annotations ?? {}}
  if (spec?.hostNetwork === true) return 'hostNetwork'
  if (SYSTEM_NAMESPACES.includes(namespace)) return `namespace ${namespace}`
  if (annotations[STATUS] !== undefined) return 'it has a sidecar'
  // A label, whatever its value, hides the annotation.
  const said = INJECT in labels ? labels[INJECT] : annotations[INJECT]
  return said === 'false' ? `${INJECT}: false` : undefined
}

/** What is put in place or added; everything else of the pod stays. */
export interface Injection {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** In front of what is there. */
  readonly initContainers: readonly object[]
  /** Behind what is there. */
  readonly containers: readonly object[]
  /** Index of a container -> its probes, which now ask the proxy. */
  readonly probes: ReturnType<typeof appProbes>['rewritten']
}

/** @param owner name of the Deployment, or of the pod itself */
export function injectionOf(template: PodTemplate, owner: string, options: InjectOptions): Injection {
  const {native, revision} = options
  const labels = template.metadata?.labels ?? {}
  const {rewritten, probes} = appProbes(template.spec?.containers ?? [])
  const proxy = proxyContainer(options, probes)
  const init = initContainer(options, template.metadata?.annotations ?? {})
  const name = labels['app.kubernetes.io/name'] ?? labels['app'] ?? owner
  return {
    labels: {
      'security.istio.io/tlsMode': 'istio',
      'service.istio.io/canonical-name': labels['service.istio.io/canonical-name'] ?? name,
      'service.istio.io/canonical-revision':
        labels['service.istio.io/canonical-revision'] ??
        labels['app.kubernetes.io/version'] ??
        labels['version'] ??
        'latest',
    },
    annotations: {
      'istio.io/rev': revision,
      'kubectl.kubernetes.io/default-container': template.spec?.containers?.[0]?.name ?? '',
      'prometheus.io/path': '/stats/prometheus',
      'prometheus.io/port': '15020',
      'prometheus.io/scrape': 'true',
      [STATUS]: JSON.stringify({
        initContainers: native ? ['istio-init', 'istio-proxy'] : ['istio-init'],
        containers: native ? null : ['istio-proxy'],
        volumes: VOLUMES,
        imagePullSecrets: null,
        revision,
      }),
    },
    initContainers: native ? [init, {...proxy, restartPolicy: 'Always'}] : [init],
    containers: native ? [] : [proxy],
    probes: rewritten,
  }
}

/** Named in the status as Istio names them; the stand-in needs none. */
const VOLUMES = [
  'workload-socket',
  'credential-socket',
  'workload-certs',
  'istio-envoy',
  'istio-data',
  'istio-podinfo',
  'istio-token',
  'istiod-ca-cert',
]

function initContainer(options: InjectOptions, annotations: Readonly<Record<string, string>>): object {
  const setting = (name: string): string => annotations[`traffic.sidecar.istio.io/${name}`] ?? ''
  const excluded = ['15090', '15021', '15020', ...setting('excludeInboundPorts').split(',')]
  const outboundPorts = setting('excludeOutboundPorts')
  return {
    name: 'istio-init',
    image: IMAGE,
    args: [
      'istio-iptables',
      ...['-p', '15001', '-z', '15006', '-u', '1337'],
      ...['-m', options.tproxy ? 'TPROXY' : 'REDIRECT'],
      ...['-i', setting('includeOutboundIPRanges') || '*'],
      ...['-x', setting('excludeOutboundIPRanges')],
      ...['-b', setting('includeInboundPorts') || '*'],
      ...['-d', excluded.filter((port) => port !== '').join(',')],
      ...(outboundPorts === '' ? [] : ['-o', outboundPorts]),
      '--log_output_level=default:info',
      ...(options.iptables === 'native' ? ['--native-nftables'] : []),
    ],
    env: [
      ...(options.dualStack ? [{name: 'ISTIO_DUAL_STACK', value: 'true'}] : []),
      ...(options.iptables === 'legacy' ? [{name: 'FORCE_IPTABLES_BINARY', value: 'legacy'}] : []),
    ],
    resources: RESOURCES,
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: {add: ['NET_ADMIN', 'NET_RAW'], drop: ['ALL']},
      privileged: false,
      readOnlyRootFilesystem: false,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
    },
  }
}

function proxyContainer(
  {dualStack, tproxy}: InjectOptions,
  probes: Readonly<Record<string, AppProbe>>,
): object {
  const ready = {httpGet: {path: '/healthz/ready', port: 15_021}, timeoutSeconds: 3}
  return {
    name: 'istio-proxy',
    image: IMAGE,
    args: ['proxy', 'sidecar', '--domain', '$(POD_NAMESPACE).svc.cluster.local', '--proxyLogLevel=warning'],
    env: [
      {name: 'POD_NAME', valueFrom: {fieldRef: {fieldPath: 'metadata.name'}}},
      {name: 'POD_NAMESPACE', valueFrom: {fieldRef: {fieldPath: 'metadata.namespace'}}},
      {name: 'ISTIO_META_INTERCEPTION_MODE', value: tproxy ? 'TPROXY' : 'REDIRECT'},
      ...(dualStack ? [{name: 'ISTIO_DUAL_STACK', value: 'true'}] : []),
      ...(Object.keys(probes).length > 0
        ? [{name: 'ISTIO_KUBE_APP_PROBERS', value: JSON.stringify(probes)}]
        : []),
    ],
    ports: [{containerPort: 15_090, name: 'http-envoy-prom', protocol: 'TCP'}],
    readinessProbe: {...ready, periodSeconds: 15, failureThreshold: 4},
    startupProbe: {...ready, periodSeconds: 1, failureThreshold: 600},
    resources: RESOURCES,
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: {drop: ['ALL']},
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: 1337,
      runAsNonRoot: true,
      runAsUser: 1337,
    },
  }
}
