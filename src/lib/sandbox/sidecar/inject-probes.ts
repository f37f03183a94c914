// SPDX-License-Identifier: Apache-2.0
/** A kubelet speaks no mTLS: probes of the application ask the proxy, which asks the application. */
import type {ContainerPort, Probe} from '../../model/kube.ts'
import type {AppProbe} from './health.ts'

export interface ProbedContainer {
  readonly name: string
  readonly ports?: readonly ContainerPort[]
  readonly readinessProbe?: Probe
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
}

const WORDS = {readinessProbe: 'readyz', startupProbe: 'startupz', livenessProbe: 'livez'} as const
const AGENT_PORT = 15_020

type ProbeName = keyof typeof WORDS

export interface RewrittenProbe {
  readonly index: number
  readonly name: ProbeName
  /** Takes the place of `tcpSocket` or `httpGet`. */
  readonly httpGet: {readonly path: string; readonly port: number}
}

/** exec and gRPC stay as they are, and so do ports that have no number. */
export function appProbes(containers: readonly ProbedContainer[]): {
  readonly rewritten: readonly RewrittenProbe[]
  readonly probes: Readonly<Record<string, AppProbe>>
} {
  const rewritten: RewrittenProbe[] = []
  const probes: Record<string, AppProbe> = {}
  for (const [index, container] of containers.entries()) {
    for (const [name, word] of Object.entries(WORDS) as [ProbeName, string][]) {
      const probe = asked(container[name], container.ports)
      if (probe === undefined) continue
      const path = `/app-health/${container.name}/${word}`
      probes[path] = probe
      rewritten.push({index, name, httpGet: {path, port: AGENT_PORT}})
    }
  }
  return {rewritten, probes}
}

function asked(probe: Probe | undefined, ports: ProbedContainer['ports']): AppProbe | undefined {
  const {httpGet, tcpSocket, timeoutSeconds} = probe ?? {}
  const target = httpGet ?? tcpSocket
  // The agent asks in plain text, and only its own pod.
  if (target === undefined || target.host !== undefined || httpGet?.scheme === 'HTTPS') return undefined
  const port =
    typeof target.port === 'number'
      ? target.port
      : ports?.find(({name}) => name === target.port)?.containerPort
  if (port === undefined) return undefined
  const timeout = timeoutSeconds === undefined ? {} : {timeoutSeconds}
  return httpGet === undefined
    ? {tcpSocket: {port}, ...timeout}
    : {httpGet: {path: httpGet.path ?? '/', port}, ...timeout}
}
