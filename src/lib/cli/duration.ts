// SPDX-License-Identifier: Apache-2.0
import {UsageError} from '../errors.ts'

const UNITS_MS: Readonly<Record<string, number>> = {ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000}
const MAX_MS = 365 * 86_400_000

/**
 * Milliseconds of `10m`, `1h30m`, `1.5s`, `500ms`, `0`. A number without a unit is refused: 30 seconds and
 * 30 minutes look alike.
 *
 * @throws UsageError naming `flag`.
 */
export function parseDuration(text: string, flag: string): number {
  if (text === '0') return 0
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) {
    throw new UsageError(`${flag}: '${text}' is not a duration`, {
      parameter: flag,
      hints: ['write a number with a unit, for example 30s, 10m or 1h30m'],
    })
  }
  let total = 0
  for (const [, number, , unit] of text.matchAll(/(\d+(\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(number) * (UNITS_MS[unit ?? ''] ?? 0)
  }
  if (total > MAX_MS) throw new UsageError(`${flag}: '${text}' is more than a year`, {parameter: flag})
  return Math.round(total)
}
