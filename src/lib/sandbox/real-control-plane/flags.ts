// SPDX-License-Identifier: Apache-2.0
/** Command lines of the control plane's programs; pure. Flags that Kubernetes 1.28 to 1.34 and etcd 3.4 to 3.6 have. */
import {isIPv6} from 'node:net'
import type {CredentialFiles} from './credentials.ts'

/** Where the programs listen, inside their network namespace. */
export interface Ports {
  readonly api: number
  /** Plain HTTP on the namespace's own loopback: nobody else is in there. */
  readonly etcdClient: number
  readonly etcdPeer: number
}

export function etcdArgs(dataDir: string, ports: Ports): string[] {
  const client = etcdUrl(ports)
  const peer = `http://127.0.0.1:${ports.etcdPeer}`
  return [
    '--name=sandbox',
    `--data-dir=${dataDir}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=sandbox=${peer}`,
    '--log-level=warn',
  ]
}

function etcdUrl(ports: Ports): string {
  return `http://127.0.0.1:${ports.etcdClient}`
}

export interface ApiServerSettings {
  readonly ports: Ports
  readonly files: CredentialFiles
  /** An address of its network namespace that is not loopback; it stands in the endpoints of service `kubernetes`. */
  readonly advertiseAddress: string
  /** CIDRs, primary first; one or two. */
  readonly serviceCidrs: readonly string[]
}

/**
 * Admission plugins that need what the sandbox has not: nobody takes the taint of a new node away, and pods mount no
 * tokens.
 */
const WITHOUT_ADMISSION = ['ServiceAccount', 'TaintNodesByCondition']

export function apiServerArgs({ports, files, advertiseAddress, serviceCidrs}: ApiServerSettings): string[] {
  return [
    `--etcd-servers=${etcdUrl(ports)}`,
    `--bind-address=${isIPv6(advertiseAddress) ? '::' : '0.0.0.0'}`,
    `--secure-port=${ports.api}`,
    `--advertise-address=${advertiseAddress}`,
    `--tls-cert-file=${files.serving.certificate}`,
    `--tls-private-key-file=${files.serving.key}`,
    `--client-ca-file=${files.authority}`,
    `--kubelet-certificate-authority=${files.authority}`,
    `--kubelet-client-certificate=${files.kubeletClient.certificate}`,
    `--kubelet-client-key=${files.kubeletClient.key}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${files.accounts.publicKey}`,
    `--service-account-signing-key-file=${files.accounts.privateKey}`,
    `--service-cluster-ip-range=${serviceCidrs.join(',')}`,
    '--authorization-mode=RBAC',
    '--anonymous-auth=false',
    '--allow-privileged=true',
    '--profiling=false',
    `--disable-admission-plugins=${WITHOUT_ADMISSION.join(',')}`,
  ]
}

/** Controllers that judge nodes by heartbeats, which the sandbox's nodes do not send; the name of all versions. */
const WITHOUT_CONTROLLERS = ['nodelifecycle']

export function controllerManagerArgs(files: CredentialFiles): string[] {
  return [
    `--kubeconfig=${files.kubeconfig}`,
    `--service-account-private-key-file=${files.accounts.privateKey}`,
    `--root-ca-file=${files.authority}`,
    `--controllers=${['*', ...WITHOUT_CONTROLLERS.map((name) => `-${name}`)].join(',')}`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    '--profiling=false',
  ]
}

export function schedulerArgs(files: CredentialFiles): string[] {
  return [
    `--kubeconfig=${files.kubeconfig}`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    '--profiling=false',
  ]
}
