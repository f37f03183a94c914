// SPDX-License-Identifier: Apache-2.0
/** Real connections against what `path` predicted. Pure. */
import {normalAddress} from './codec.ts'
import {hostPort} from './path-sentence.ts'
import type {PathWay} from './path-ways.ts'

/** One connection, as the client side tells it. */
export interface TracedConnection {
  /** As getpeername(2) tells; absent where nothing was connected. */
  readonly peer?: string | undefined
  readonly peerPort?: number | undefined
  /** Name of the pod that answered. */
  readonly pod?: string | undefined
  /** Why it failed. */
  readonly error?: string | undefined
}

export interface PathTrace {
  readonly connections: number
  /** Nothing happened that was not predicted. */
  readonly agrees: boolean
  /** `ADDRESS:PORT` -> how often. */
  readonly peers: Readonly<Record<string, number>>
  readonly pods: Readonly<Record<string, number>>
  readonly errors: Readonly<Record<string, number>>
  /** What was not predicted, each once. */
  readonly surprises: readonly string[]
}

export function traceOf(ways: readonly PathWay[], connections: readonly TracedConnection[]): PathTrace {
  const surprises = new Set(connections.flatMap((one) => surpriseOf(ways, one) ?? []))
  const ended = connections.filter(({error}) => error === undefined)
  return {
    connections: connections.length,
    agrees: surprises.size === 0 && connections.length > 0,
    peers: countsOf(ended.map(peerOf)),
    pods: countsOf(ended.map(({pod}) => pod)),
    errors: countsOf(connections.map(({error}) => error)),
    surprises: [...surprises],
  }
}

/** Undefined: one of the ways explains it. */
function surpriseOf(ways: readonly PathWay[], one: TracedConnection): string | undefined {
  if (one.error !== undefined) {
    const isExpected = ways.some(({verdict}) => verdict !== 'works')
    return isExpected ? undefined : `failed, predicted to work: ${one.error}`
  }
  const peer = peerOf(one)
  const met = ways.filter(({via, address, port}) => isUnseen(via) || hostPort(address, port) === peer)
  if (met.length === 0) return `peer ${peer} was not predicted`
  const possible = met.filter(({verdict}) => verdict !== 'fails')
  if (possible.length === 0) return `connected to ${peer}, predicted to fail`
  const isKnown = possible.some(
    ({pods}) => pods.length === 0 || pods.some((pod) => pod.endsWith(`/${one.pod}`)),
  )
  return isKnown ? undefined : `pod ${one.pod} answered at ${peer}, which was not predicted`
}

/** Who is dialled then is not seen by the client, or not known. */
function isUnseen(via: PathWay['via']): boolean {
  return via === 'unknown'
}

function peerOf({peer, peerPort}: TracedConnection): string {
  return peer === undefined ? 'nobody' : hostPort(normalAddress(peer), peerPort ?? 0)
}

function countsOf(texts: readonly (string | undefined)[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const text of texts) if (text !== undefined) counts[text] = (counts[text] ?? 0) + 1
  return counts
}
