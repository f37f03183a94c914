// SPDX-License-Identifier: Apache-2.0
/** The agent's options as data: what is parsed, and what --help says. */
import {ADMIN_PORT} from '../model/api.ts'

export interface OptionRow {
  readonly flag: string
  readonly env: string
  readonly value: string | undefined
  readonly fallback: string | undefined
  readonly help: string
}

export const ROWS: readonly OptionRow[] = [
  row('bpf-fs-path', 'KMESH_BPF_FS_PATH', 'DIR', '/sys/fs/bpf', 'BPF file system for the pins'),
  row(
    'cgroup2-path',
    'KMESH_CGROUP2_PATH',
    'DIR',
    '/mnt/kmesh_cgroup2',
    'cgroup v2 to attach the programs to',
  ),
  row('node-name', 'NODE_NAME', 'NAME', undefined, 'name of this node in Kubernetes (required)'),
  row(
    'kubeconfig',
    'KMESH_KUBECONFIG',
    'FILE',
    undefined,
    'kubeconfig; without it the service account of the pod',
  ),
  row(
    'admin-address',
    'KMESH_ADMIN_ADDRESS',
    'HOST:PORT',
    `127.0.0.1:${ADMIN_PORT}`,
    'admin API, local addresses only',
  ),
  row(
    'status-address',
    'KMESH_STATUS_ADDRESS',
    'HOST:PORT|off',
    '0.0.0.0:15020',
    'health and readiness for the kubelet',
  ),
  row('state-dir', 'KMESH_STATE_DIR', 'DIR', '/var/lib/kmesh', 'ids, leases and enrolled pods'),
  row('proc-path', 'KMESH_PROC_PATH', 'DIR', '/proc', "the node's /proc"),
  row(
    'existing-pods',
    'KMESH_EXISTING_PODS',
    'live|untouched',
    'live',
    'do namespace labels act on running pods',
  ),
  row(
    'sidecar-policy',
    'KMESH_SIDECAR_POLICY',
    'bypass|exclude',
    'bypass',
    'labelled pods with a sidecar: enrolled without it, or left to it',
  ),
  row('identity', 'KMESH_IDENTITY', 'netns|classid', 'netns', 'what the kernel knows enrolled pods by'),
  row(
    'net-cls-path',
    'KMESH_NET_CLS_PATH',
    'DIR',
    '/sys/fs/cgroup/net_cls',
    'cgroup v1 net_cls, for classid',
  ),
  row('pods', 'KMESH_PODS', 'all|node', 'all', 'pods to watch'),
  row(
    'map-size',
    'KMESH_MAP_SIZE',
    'NAME=N',
    undefined,
    'entries of one map; repeatable (environment: comma-separated)',
  ),
  row('take-over', 'KMESH_TAKE_OVER', undefined, undefined, 'replace the pins of another data plane'),
  row('persist-settings', 'KMESH_PERSIST_SETTINGS', undefined, undefined, 'keep log levels over a restart'),
  row('cluster-domain', 'KMESH_CLUSTER_DOMAIN', 'NAME', 'cluster.local', 'DNS suffix of services'),
  row('bpf-object', 'KMESH_BPF_OBJECT', 'FILE', undefined, 'eBPF programs, instead of the built-in ones'),
  row('log-level', 'KMESH_LOG_LEVEL', 'LEVEL', 'info', "level of the logger 'default'"),
  row(
    'hold',
    'KMESH_HOLD',
    undefined,
    undefined,
    'uninstall: stay when done, with /readyz 200, until SIGTERM',
  ),
  row('backend', 'KMESH_BACKEND', 'kernel|memory', 'kernel', 'where the maps are; memory redirects nothing'),
  row('mode', 'KMESH_MODE', 'dual-engine', 'dual-engine', 'data plane mode'),
  row('run-dir', 'KMESH_RUN_DIR', 'DIR', '/var/run/kmesh', 'socket, cache and log of the CNI plugin'),
  row('cni', 'KMESH_CNI', 'on|off', 'on', 'install the CNI plugin, keep it in the conflist, serve it'),
  row('cni-etc-path', 'KMESH_CNI_ETC_PATH', 'DIR', '/etc/cni/net.d', "the node's conflists"),
  row(
    'conflist-name',
    'KMESH_CONFLIST_NAME',
    'NAME',
    undefined,
    'conflist to use; without it the first usable',
  ),
  row('cni-bin-path', 'KMESH_CNI_BIN_PATH', 'DIR', '/opt/cni/bin', "the node's CNI plugins"),
  row(
    'cni-runtime-path',
    'KMESH_CNI_RUNTIME_PATH',
    'DIR',
    undefined,
    'Node and code of the plugin; without it .kmesh-cni in --cni-bin-path',
  ),
  row(
    'cni-failure-policy',
    'KMESH_CNI_FAILURE_POLICY',
    'fail|ignore',
    'fail',
    'pods to enroll, while no agent answers: fail or start outside the mesh',
  ),
]

function row(
  flag: string,
  env: string,
  value: string | undefined,
  fallback: string | undefined,
  help: string,
): OptionRow {
  return {flag, env, value, fallback, help}
}

export function helpText(): string {
  const options = ROWS.map(({flag, env, value, fallback, help}) => {
    const left = `  --${flag}${value === undefined ? '' : ` ${value}`}`
    return `${left.padEnd(36)}${help} [${env}${fallback === undefined ? '' : `, ${fallback}`}]`
  })
  return `Node agent of the mesh: fills BPF maps from Kubernetes, enrolls pods, serves the admin API.

Usage: kmesh-daemon [OPTIONS]              run until SIGTERM or SIGINT; the data plane stays
       kmesh-daemon uninstall [OPTIONS]    take everything out that the agent put there

Options [environment, default]:
${options.join('\n')}
  --help, -h                          this text
  --version                           version

Exit status: 0 stopped on request, 1 failure, 2 wrong option, 6 denied, 7 another agent runs.
`
}
