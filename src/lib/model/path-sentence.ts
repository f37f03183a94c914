// SPDX-License-Identifier: Apache-2.0
/** The closing sentence of `path`. Pure. */
import type {CheckVerdict} from './interop-check.ts'
import type {PathFinding, PathInput} from './path.ts'
import type {LeftAlone} from './path-connect.ts'
import {type PathWay, reasonText} from './path-ways.ts'

export function sentenceOf(
  input: PathInput,
  ways: readonly PathWay[],
  verdict: CheckVerdict,
  findings: readonly PathFinding[],
): string {
  const {client, destination} = input
  const to = hostPort(destination.address, destination.port)
  const groups = Map.groupBy(ways, ({via, verdict: one, port, left}) => [via, one, port, left].join())
  const all = ways.reduce((sum, {weight}) => sum + weight, 0)
  const parts = [...groups.values()].map((group) => {
    const weight = group.reduce((sum, one) => sum + one.weight, 0)
    const share = groups.size === 1 ? '' : `${weight} of ${all}: `
    return `${share}${groupText(input, group)}`
  })
  const codes = [...new Set(findings.map(({code}) => code))]
  const found = codes.length === 0 ? '' : `; found: ${codes.join(', ')}`
  return `${client.namespace}/${client.name} connects to ${to} -> ${parts.join('; ')}; ${VERDICT_TEXTS[verdict]}${found}`
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export function hostPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

const VERDICT_TEXTS: Readonly<Record<CheckVerdict, string>> = {
  works: 'it works',
  fails: 'it fails',
  depends: 'it works for some of them only',
  unknown: 'whether it works is not known',
}

const LEFT_TEXTS: Readonly<Record<LeftAlone, string>> = {
  NoFrontend: 'the kernel does not know the address',
  FrontendLeadsNowhere: "the kernel's frontend leads nowhere",
  NoEndpoints: 'the kernel knows no endpoint',
  EndpointWithoutBackend: "the kernel's endpoint leads to no backend",
  PortUnknown: 'the kernel does not know the port',
  OtherFamily: 'the kernel has an address of the other family',
}

function groupText(input: PathInput, group: readonly PathWay[]): string {
  const [first] = group
  if (first === undefined) return 'nobody'
  const failed = first.verdict === 'works' ? '' : ` (${reasonText(first.reason)})`
  return `${target(input, group, first)}, ${chooser(input, first)}${failed}`
}

function target({kube}: PathInput, group: readonly PathWay[], first: PathWay): string {
  const pods = [...new Set(group.flatMap((one) => one.pods))]
  if (first.via === 'waypoint') return `waypoint ${hostPort(first.address, first.port)}`
  const port = first.via === 'kmesh' ? ` at port ${first.port}` : ''
  if (pods.length === 0) {
    const addresses = [...new Set(group.map(({address}) => hostPort(address, first.port)))]
    return first.verdict === 'fails' && first.via !== 'kmesh' ? 'nobody' : addresses.slice(0, 3).join(' or ')
  }
  const of = kube.service === null ? '' : ` of ${kube.service.namespace}/${kube.service.name}`
  return pods.length === 1 ? `pod ${pods[0]}${port}` : `one of ${pods.length} pods${of}${port}`
}

function chooser({managed, node}: PathInput, {via, left}: PathWay): string {
  if (via === 'kmesh' || via === 'waypoint') return `chosen by Kmesh on node ${node}`
  if (via === 'sidecar') return "chosen by the client's sidecar"
  if (via === 'unknown') return `chosen by Kmesh on node ${node}, whose tables are not known`
  const why = left === null ? notCaptured(managed.captured) : LEFT_TEXTS[left]
  return `${via === 'direct' ? 'dialled as it is' : 'chosen by kube service routing'}: ${why}`
}

function notCaptured(captured: boolean | null): string {
  return captured === false ? 'the pod is not captured by Kmesh' : 'the kernel is not known'
}
