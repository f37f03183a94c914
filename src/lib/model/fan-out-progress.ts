// SPDX-License-Identifier: Apache-2.0

/** How many daemons were asked and answered or failed. */
export interface FanOutProgress {
  readonly total: number
  readonly done: number
  readonly failed: number
}

/** `[310/412] 3 failed`. */
export function fanOutLine({total, done, failed}: FanOutProgress): string {
  return `[${done}/${total}]${failed === 0 ? '' : ` ${failed} failed`}`
}
