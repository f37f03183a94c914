// SPDX-License-Identifier: Apache-2.0
/** What is fixed for a pod once it is on a node, and the records made of it. */
import {join} from 'node:path'
import type {Container, EnvironmentEntry, Pod} from '../../model/kube.ts'
import {CONFIG_VARIABLE} from '../sidecar/config.ts'
import {sidecarConfigFile} from '../sidecar/config-files.ts'
import type {PodRecord} from '../state.ts'
import type {Addresses} from './addresses.ts'
import {isSidecarImage} from './command-line.ts'
import type {ContainerRole, ContainerSettings} from './container.ts'
import {onThisNode} from './daemon-image.ts'
import type {NodeContext} from './node-context.ts'
import type {PodContainers} from './pod-containers.ts'

export interface PodFacts {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly hostNetwork: boolean
  readonly addresses: Addresses
  readonly cgroup: string
  /** RFC 3339. */
  readonly startedAt: string
}

/** What `fieldRef` can name. */
const FIELDS: Readonly<Record<string, (node: NodeContext, facts: PodFacts) => string>> = {
  'metadata.name': (_, {name}) => name,
  'metadata.namespace': (_, {namespace}) => namespace,
  'metadata.uid': (_, {uid}) => uid,
  'spec.nodeName': ({name}) => name,
  'status.hostIP': ({addresses}) => addresses[0]?.address ?? '',
  'status.podIP': (_, {addresses}) => addresses[0]?.address ?? '',
}

function fieldOf(entry: EnvironmentEntry) {
  return FIELDS[entry.valueFrom?.fieldRef?.fieldPath ?? '']
}

function environmentOf(node: NodeContext, facts: PodFacts, container: Container): Record<string, string> {
  const own = Object.fromEntries(
    (container.env ?? []).map((entry) => [entry.name, fieldOf(entry)?.(node, facts) ?? entry.value ?? '']),
  )
  return {
    ...node.baseEnvironment,
    HOSTNAME: facts.name,
    POD_NAME: facts.name,
    POD_NAMESPACE: facts.namespace,
    POD_UID: facts.uid,
    POD_IP: facts.addresses[0]?.address ?? '',
    POD_IPS: facts.addresses.map(({address}) => address).join(','),
    NODE_NAME: node.name,
    ...(isSidecarImage(container) ? {[CONFIG_VARIABLE]: sidecarConfigFile(node.paths, facts.uid)} : {}),
    ...own,
  }
}

export function containerSettings(
  node: NodeContext,
  facts: PodFacts,
  pod: Pod,
  container: Container,
  namespacePath: string,
  role: ContainerRole = 'main',
): ContainerSettings {
  const {namespace, name, uid} = facts
  const file = `${namespace}_${name.slice(0, 120)}_${uid.slice(0, 8)}_${container.name}.log`
  const defaults = pod.spec?.securityContext
  return {
    container: onThisNode(node, pod, container),
    namespacePath,
    cgroup: join(facts.cgroup, container.name),
    outputFile: join(node.paths.outputDir, file),
    environment: environmentOf(node, facts, container),
    user: container.securityContext?.runAsUser ?? defaults?.runAsUser ?? 0,
    group: container.securityContext?.runAsGroup ?? defaults?.runAsGroup ?? 0,
    restartPolicy: restartPolicyOf(pod, role),
    role,
    address: facts.addresses[0]?.address ?? '',
    unsupported:
      unsupportedSidecar(node, container) ??
      unsupportedPart(container) ??
      unsupportedUser(node, pod, container),
  }
}

/** What an init container retries depends on the pod; a sidecar is always restarted. */
function restartPolicyOf(pod: Pod, role: ContainerRole): string {
  const policy = pod.spec?.restartPolicy ?? 'Always'
  if (role === 'sidecar') return 'Always'
  return role === 'init' && policy === 'Always' ? 'OnFailure' : policy
}

/** An init container that is to be restarted always is a sidecar. */
export function roleOfInit(container: Container): ContainerRole {
  return container.restartPolicy === 'Always' ? 'sidecar' : 'init'
}

function unsupportedSidecar(node: NodeContext, container: Container): string | undefined {
  if (!isSidecarImage(container) || node.backend !== 'memory') return undefined
  return `image ${container.image}: backend memory has no connections to redirect`
}

/** Without these a program would run on wrong assumptions; volumes and liveness probes are left out. */
function unsupportedPart(container: Container): string | undefined {
  // The stand-in needs nothing of what Istio's manifests tell its proxy.
  if (isSidecarImage(container)) return undefined
  if ('envFrom' in container) return 'the sandbox knows no envFrom'
  const reference = container.env?.find((entry) => 'valueFrom' in entry && fieldOf(entry) === undefined)
  if (reference === undefined) return undefined
  return `env ${reference.name}: of valueFrom the sandbox knows fieldRef, with ${Object.keys(FIELDS).join(', ')}`
}

/** Without root everything runs as the user who started the sandbox; a program that asks for another one is told. */
function unsupportedUser({backend}: NodeContext, pod: Pod, container: Container): string | undefined {
  const contexts = [container.securityContext, pod.spec?.securityContext]
  const asks = contexts.some((context) => (context?.runAsUser ?? context?.runAsGroup) !== undefined)
  return backend === 'memory' && asks
    ? 'backend memory runs every container as one user: runAsUser, runAsGroup'
    : undefined
}

export function podRecord(
  node: NodeContext,
  facts: PodFacts,
  namespacePath: string,
  containers: PodContainers,
  terminating: boolean,
): PodRecord {
  return {
    namespace: facts.namespace,
    name: facts.name,
    uid: facts.uid,
    node: node.name,
    hostNetwork: facts.hostNetwork,
    addresses: facts.addresses.map(({address}) => address),
    networkNamespace: namespacePath,
    ready: containers.isReady,
    terminating,
    containers: containers.all.map(({settings, state, restartCount, ready, probeMessage}) => ({
      name: settings.container.name,
      cgroup: settings.cgroup,
      outputFile: settings.outputFile,
      env: settings.environment,
      workingDir: settings.container.workingDir ?? null,
      user: settings.user,
      group: settings.group,
      pid: state.kind === 'running' ? state.pid : null,
      restartCount,
      ready,
      message: state.kind === 'waiting' ? `${state.reason}: ${state.message}` : probeMessage,
    })),
  }
}
