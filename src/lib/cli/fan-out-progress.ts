// SPDX-License-Identifier: Apache-2.0
/**
 * Counts of a fan-out: one line that is rewritten on a terminal, else a line every 10 s. Drawn by hand: to load
 * Ink costs more than most fan-outs take.
 */
import {type FanOutProgress, fanOutLine} from '../model/fan-out-progress.ts'
import type {Clock} from '../ports.ts'

export interface FanOutSink {
  update(progress: FanOutProgress): void
  close(): void
}

const FIRST_MS = 300
const REDRAW_MS = 100
const LINE_PAUSE_MS = 10_000
const CLEAR_LINE = '\r\u001b[K'

/**
 * Shows the newest counts when the time has come; a short fan-out, or one of a single daemon, shows nothing.
 *
 * @param write - text for stderr.
 */
export function showFanOut(clock: Clock, animated: boolean, write: (text: string) => void): FanOutSink {
  let newest: FanOutProgress | undefined
  let drawn = false
  let stop: (() => void) | undefined
  const show = (): void => {
    if (newest !== undefined && newest.total > 1) {
      write(animated ? `${CLEAR_LINE}${fanOutLine(newest)}` : `${fanOutLine(newest)}\n`)
      drawn = true
    }
    stop = clock.after(animated ? REDRAW_MS : LINE_PAUSE_MS, show)
  }
  return {
    update: (progress) => {
      newest = progress
      stop ??= clock.after(animated ? FIRST_MS : LINE_PAUSE_MS, show)
    },
    close: () => {
      stop?.()
      stop = undefined
      if (animated && drawn) write(CLEAR_LINE)
      drawn = false
    },
  }
}
