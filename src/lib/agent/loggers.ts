// SPDX-License-Identifier: Apache-2.0
/** Loggers of the agent's parts. A part without a level of its own follows `default`. */
import {LOGGER_DEFAULT} from '../model/api.ts'
import type {Clock, Log, LogFields} from '../ports.ts'
import {formatLine, isLogged, type LogLevel} from './log-format.ts'

export const PARTS = ['agent', 'loader', 'watch', 'reconcile', 'enroll', 'admin'] as const
export type Part = (typeof PARTS)[number]

/** Name under which lines of the BPF programs come out. */
const BPF_SUBSYSTEM = 'ebpf'

export class Loggers {
  readonly #levels = new Map<string, LogLevel>()
  readonly #initial: LogLevel
  readonly #write: (line: string) => void
  readonly #clock: Clock

  /** @param write - takes one line, must not block */
  constructor(initial: LogLevel, clock: Clock, write: (line: string) => void) {
    this.#initial = initial
    this.#clock = clock
    this.#write = write
  }

  names(): readonly string[] {
    return [LOGGER_DEFAULT, ...PARTS]
  }

  has(name: string): boolean {
    return this.names().includes(name)
  }

  /** The level at which it prints now. */
  levelOf(name: string): LogLevel {
    return this.#levels.get(name) ?? this.#levels.get(LOGGER_DEFAULT) ?? this.#initial
  }

  /** The level somebody gave it; undefined while it follows. */
  ownLevel(name: string): LogLevel | undefined {
    return this.#levels.get(name)
  }

  /** The level it has when nobody changed anything. */
  get initial(): LogLevel {
    return this.#initial
  }

  /** @param level - undefined lets it follow again */
  set(name: string, level: LogLevel | undefined): void {
    if (level === undefined) this.#levels.delete(name)
    else this.#levels.set(name, level)
  }

  log(part: Part): Log {
    const at = (level: LogLevel) => (message: string, fields?: LogFields) =>
      this.#print(part, level, message, fields)
    return {
      trace: at('trace'),
      debug: at('debug'),
      info: at('info'),
      warn: at('warning'),
      error: at('error'),
    }
  }

  /** A line of the BPF programs: at info under `default`, whatever level the program gave it. */
  bpfLine(text: string): void {
    if (isLogged('info', this.levelOf(LOGGER_DEFAULT)))
      this.#write(formatLine(this.#clock.nowMs(), 'info', BPF_SUBSYSTEM, text))
  }

  #print(part: Part, level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (isLogged(level, this.levelOf(part)))
      this.#write(formatLine(this.#clock.nowMs(), level, part, message, fields))
  }
}
