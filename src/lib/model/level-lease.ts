// SPDX-License-Identifier: Apache-2.0
/** A level that kmeshctl itself puts back, because the daemon cannot. Written to a file before the change. */
import {isFields} from './hostile.ts'

export interface LevelLease {
  /** API server or daemon URL: nodes of different clusters have the same names. */
  readonly server: string
  readonly node: string
  readonly logger: string
  /** What kmeshctl set. */
  readonly level: string
  readonly revertTo: string
  /** False: the daemon cannot tell the level, so it is put back without comparing. */
  readonly compare: boolean
  /** RFC 3339. */
  readonly expiresAt: string
}

/** Undefined for anything that is no lease. */
export function parseLease(text: string): LevelLease | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isFields(value)) return undefined
  const texts = ['server', 'node', 'logger', 'level', 'revertTo', 'expiresAt']
  const isGood =
    texts.every((name) => typeof value[name] === 'string') && typeof value['compare'] === 'boolean'
  return isGood ? (value as unknown as LevelLease) : undefined
}

export function isLeaseOf(lease: LevelLease, server: string, node: string, logger: string): boolean {
  return lease.server === server && lease.node === node && lease.logger === logger
}

/** What an operator types to put the level back. */
export function revertCommand({server, node, logger, revertTo}: LevelLease): string {
  const target = node === server ? `--daemon-url ${node}` : `--node ${node}`
  return `kmeshctl log set-level ${logger}=${revertTo} ${target}`
}
