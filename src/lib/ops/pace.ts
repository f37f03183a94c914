// SPDX-License-Identifier: Apache-2.0
/** How many daemons are asked at the same time: raised and lowered by what the API server answers. */
import type {Clock} from '../ports.ts'

export const MAX_CONCURRENCY = 256

/** A daemon that was asked over an open tunnel and sent no byte for this time costs nobody anything: it holds no place. */
const SILENT_MS = 120
/** One burst of refusals lowers the limit once. */
const CUT_PAUSE_MS = 500
/** Good tunnels raise the limit by about this many a round, up to so many times the places to begin with. */
const RAISE = 4
const MOST_RAISED = 1.5
/** With answers larger than this the limit is not raised, and falls to this share of its start: each place may hold one in memory. */
const LARGE_BYTES = 256 * 1024
const LARGE_SHARE = 0.75

export interface PaceOptions {
  /** Places to begin with. */
  readonly start: number
  /** Silent daemons included, never more. */
  readonly ceiling: number
  readonly clock: Clock
}

/** One daemon's place. */
export interface Place {
  /** Its tunnel opened: the API server does well. */
  opened(): void
  /** A question went out. */
  asked(): void
  /** So many bytes came. */
  heard(bytes: number): void
  leave(): void
}

/**
 * Additive increase, multiplicative decrease. Only daemons that are at work count against the limit; those that
 * hang although their tunnel opened do not, so that a fleet of hanging daemons is not waited for one by one.
 */
export class Pace {
  private readonly options: PaceOptions
  private readonly onFree: () => void
  private highest: number
  private limit: number
  private inside = 0
  private silent = 0
  private cutAtMs = Number.NEGATIVE_INFINITY

  /** @param onFree - called when {@link isFree} may have become true. */
  constructor(options: PaceOptions, onFree: () => void) {
    this.options = options
    this.onFree = onFree
    this.limit = options.start
    this.highest = Math.min(options.ceiling, options.start * MOST_RAISED)
  }

  get current(): number {
    return Math.floor(this.limit)
  }

  /** The total follows the limit down: 256 at 32 places, 128 at 16. */
  isFree(): boolean {
    const {start, ceiling} = this.options
    const total = Math.max(1, Math.min(ceiling, Math.floor((ceiling * this.limit) / start)))
    return this.inside - this.silent < this.current && this.inside < total
  }

  /** The API server refuses or drops tunnels. @param factor - what is left of the limit. */
  cut(factor: number): void {
    const nowMs = this.options.clock.monotonicMs()
    if (nowMs - this.cutAtMs < CUT_PAUSE_MS) return
    this.cutAtMs = nowMs
    this.limit = Math.max(1, this.limit * factor)
  }

  enter(): Place {
    this.inside += 1
    let isOpen = false
    let isSilent = false
    let bytes = 0
    let stop: (() => void) | undefined
    const settle = (): void => {
      stop?.()
      stop = undefined
      if (!isSilent) return
      isSilent = false
      this.silent -= 1
    }
    const watch = (): void => {
      if (!isOpen) return
      stop ??= this.options.clock.after(SILENT_MS, () => {
        isSilent = true
        this.silent += 1
        this.onFree()
      })
    }
    return {
      opened: () => {
        isOpen = true
        this.raise()
        watch()
      },
      asked: watch,
      heard: (more) => {
        settle()
        bytes += more
        if (bytes > LARGE_BYTES) this.sawLarge()
      },
      leave: () => {
        settle()
        isOpen = false
        this.inside -= 1
        this.onFree()
      },
    }
  }

  private sawLarge(): void {
    this.highest = Math.max(1, Math.floor(this.options.start * LARGE_SHARE))
    this.limit = Math.min(this.limit, this.highest)
  }

  private raise(): void {
    if (this.limit >= this.highest) return
    this.limit = Math.min(this.highest, this.limit + RAISE / this.limit)
    this.onFree()
  }
}
