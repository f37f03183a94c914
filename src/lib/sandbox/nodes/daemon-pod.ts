// SPDX-License-Identifier: Apache-2.0
/** The node agent of a sandbox node, as a host-network pod that its kubelet runs. */
import {join} from 'node:path'
import {messageOf} from '../../errors.ts'
import {type Pod, RESOURCES} from '../../model/kube.ts'
import type {Informers} from '../../ports.ts'
import {cniFolders} from './cni-conflist.ts'
import {standInName} from './memory-machine.ts'
import type {NodeContext} from './node-context.ts'

export const MESH_NAMESPACE = 'kmesh-system'
export const DAEMON_USER = 'system:serviceaccount:kmesh-system:kmesh'
const ADMIN_PORT = 15_200
const STATUS_PORT = 15_020
const RETRY_MS = 500

export interface DaemonFiles {
  /** The launcher, `bin/kmesh-daemon`. */
  readonly program: string
  readonly kubeconfig: string
  readonly stateDir: string
}

export function daemonPod(node: NodeContext, files: DaemonFiles): Pod {
  const options: Readonly<Record<string, string>> = {
    ...(node.backend === 'memory' ? memoryOptions(node) : kernelOptions(node)),
    'node-name': node.name,
    kubeconfig: files.kubeconfig,
    'state-dir': files.stateDir,
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `kmesh-${node.name}`,
      namespace: MESH_NAMESPACE,
      labels: {app: 'kmesh'},
    },
    spec: {
      nodeName: node.name,
      hostNetwork: true,
      serviceAccountName: 'kmesh',
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 10,
      containers: [
        {
          name: 'kmesh',
          image: 'sandbox/kmesh-daemon',
          command: [files.program],
          args: Object.entries(options).map(([name, value]) => `--${name}=${value}`),
          ports: [{name: 'admin', containerPort: ADMIN_PORT, protocol: 'TCP'}],
          readinessProbe: {
            httpGet: {host: '127.0.0.1', ...readyEndpoint(node)},
            periodSeconds: 1,
            timeoutSeconds: 2,
          },
        },
      ],
    },
  }
}

/** Pods in memory share the host's addresses, where only one could listen on the status port. */
function readyEndpoint(node: NodeContext) {
  return node.backend === 'memory'
    ? {port: ADMIN_PORT, path: '/debug/ready'}
    : {port: STATUS_PORT, path: '/readyz'}
}

function kernelOptions(node: NodeContext): Record<string, string> {
  const {configDir, programDir, runDir} = cniFolders(node.paths, node.name)
  return {
    cni: 'on',
    'run-dir': runDir,
    'cni-etc-path': configDir,
    'cni-bin-path': programDir,
    'bpf-fs-path': node.bpfDir,
    'cgroup2-path': node.cgroup,
    'admin-address': `localhost:${ADMIN_PORT}`,
    'status-address': `0.0.0.0:${STATUS_PORT}`,
    'proc-path': '/proc',
  }
}

/** The paths are never opened; they are what the agent's log calls its maps. */
function memoryOptions(node: NodeContext): Record<string, string> {
  return {
    backend: 'memory',
    'status-address': 'off',
    cni: 'off',
    'bpf-fs-path': `/memory/${node.name}`,
    'cgroup2-path': `/memory/${node.name}`,
    'admin-address': `127.0.0.1:$(${standInName(ADMIN_PORT)})`,
  }
}

export function daemonFiles(node: NodeContext, program: string): DaemonFiles {
  const directory = join(node.paths.stateDir, 'nodes', node.name)
  return {program, kubeconfig: join(directory, 'kubeconfig'), stateDir: join(directory, 'kmesh')}
}

/** What a DaemonSet would do: each node has its agent again when somebody deletes it. */
export function keepDaemon(node: NodeContext, files: DaemonFiles, informers: Informers): {close(): void} {
  const pod = daemonPod(node, files)
  const path = {...RESOURCES.pods, namespace: MESH_NAMESPACE}
  const create = async (): Promise<void> => {
    while (!node.stopping.aborted) {
      try {
        await node.kube.create(path, pod)
        return
      } catch (error) {
        if (node.stopping.aborted) return
        node.log.error(`the agent's pod cannot be created: ${messageOf(error)}`, {node: node.name})
        await node.clock.sleep(RETRY_MS)
      }
    }
  }
  const informer = informers.start<Pod>(path, {
    fieldSelector: `metadata.name=${pod.metadata.name}`,
    handler: {
      onChange: () => {},
      onDelete: () => void create(),
      onSynced: () => {
        if ([...informer.values()].length === 0) void create()
      },
    },
  })
  return {close: () => informer.close()}
}
