// SPDX-License-Identifier: Apache-2.0
import {EXIT, KmeshError} from '../errors.ts'

/** The three standard streams, as commands may use them. */
export interface Terminal {
  /** The result. Resolves when it was handed over. @throws PipeClosedError when nobody reads any more. */
  out(text: string): Promise<void>
  /** Everything that is not the result. */
  err(text: string): void
  readonly colorOut: boolean
  readonly colorErr: boolean
  /** Somebody sits there and can answer: stdin and stderr are terminals. */
  readonly interactive: boolean
  /** Lines of stderr may be rewritten. */
  readonly animated: boolean
  /** One line from stdin; undefined at its end. */
  question(text: string, signal: AbortSignal): Promise<string | undefined>
}

/** The reader of stdout went away (`| head`): stop, and say nothing. */
export class PipeClosedError extends KmeshError {
  override readonly name = 'PipeClosedError'
  constructor() {
    super('stdout was closed', {code: 'PipeClosed', exitCode: EXIT.ok})
  }
}

/** SIGHUP: the terminal went away. */
export type EndSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'
const EXIT_OF: Readonly<Record<EndSignal, number>> = {
  SIGINT: EXIT.interrupted,
  SIGTERM: EXIT.terminated,
  SIGHUP: EXIT.hangUp,
}

export class InterruptedError extends KmeshError {
  override readonly name = 'InterruptedError'
  constructor(signal: EndSignal) {
    super(signal === 'SIGINT' ? 'interrupted' : 'terminated', {
      code: signal === 'SIGINT' ? 'Interrupted' : 'Terminated',
      exitCode: EXIT_OF[signal],
    })
  }
}

export interface ColorFlags {
  readonly color?: 'auto' | 'always' | 'never' | undefined
  readonly 'no-color'?: boolean | undefined
}

/** Flags, then FORCE_COLOR, NO_COLOR, TERM=dumb, then whether that one stream is a terminal. */
export function wantsColor(
  flags: ColorFlags,
  environment: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean,
): boolean {
  if (flags['no-color'] || flags.color === 'never') return false
  if (flags.color === 'always') return true
  const force = environment['FORCE_COLOR']
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false'
  if (environment['NO_COLOR']) return false
  if (environment['TERM'] === 'dumb') return false
  return isTerminal
}
