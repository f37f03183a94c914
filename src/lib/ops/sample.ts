// SPDX-License-Identifier: Apache-2.0
/** `--max-nodes` and `--sample`. */
import {EXIT, KmeshError, UsageError} from '../errors.ts'
import {type ReportError, reportErrorOf} from '../model/report.ts'
import type {TargetChoice} from './access.ts'
import type {FoundDaemon} from './daemons.ts'

/**
 * The daemons to ask, and those that a sample leaves out. A sample is spread evenly over the order of the
 * daemons, and the same for the same daemons.
 *
 * @throws UsageError `TooManyNodes`.
 */
export function limitDaemons(
  found: readonly FoundDaemon[],
  {sample, maxNodes}: Pick<TargetChoice, 'sample' | 'maxNodes'>,
): {asked: readonly FoundDaemon[]; left: readonly FoundDaemon[]} {
  const size = Math.min(found.length, sample ?? found.length)
  if (maxNodes !== undefined && size > maxNodes) throw tooMany(size, maxNodes)
  if (size === found.length) return {asked: found, left: []}
  const chosen = new Set(
    Array.from({length: size}, (_empty, index) => Math.floor((index * found.length) / size)),
  )
  return {
    asked: found.filter((_daemon, index) => chosen.has(index)),
    left: found.filter((_daemon, index) => !chosen.has(index)),
  }
}

export function notSampledError({target}: FoundDaemon): ReportError {
  const error = new KmeshError('left out by --sample', {code: 'NotSampled', exitCode: EXIT.ok})
  return reportErrorOf(error, {node: target.node, pod: target.pod?.name ?? null, attempts: 0})
}

function tooMany(size: number, maxNodes: number): UsageError {
  return new UsageError(`${size} daemons are more than --max-nodes ${maxNodes}: none was asked`, {
    code: 'TooManyNodes',
    parameter: '--max-nodes',
    hints: ['raise --max-nodes, choose with --node-selector, or ask some of them with --sample'],
  })
}
