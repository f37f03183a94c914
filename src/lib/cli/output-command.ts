// SPDX-License-Identifier: Apache-2.0
/** What every command stands on: parsed flags, the one writer to stdout, the one catch. */
import {Command, type Interfaces} from '@oclif/core'
import {KmeshError, UsageError} from '../errors.ts'
import {type AllowedFailures, errorDocument, exitCodeOf, type Report, reportErrorOf} from '../model/report.ts'
import type {Clock, Log} from '../ports.ts'
import {
  FORMATS,
  type FormatName,
  jsonLine,
  jsonText,
  type RenderContext,
  type StreamType,
  type View,
  yamlText,
} from '../render/formats.ts'
import {piecesOf} from '../render/pieces.ts'
import {clean} from '../render/text.ts'
import {asKmeshError, errorLines, reportErrorLines, warningLine} from './error-text.ts'
import {globalFlags} from './flags.ts'
import {OutputBatch} from './output-batch.ts'
import {machineFormatOf} from './output-choice.ts'
import {PipeClosedError, type Terminal} from './terminal.ts'
import {openClock, openSignals, openTerminal, type Signals, setExitCode, stderrLog} from './wiring.ts'

type Flags<C extends typeof Command> = Interfaces.InferredFlags<
  (typeof OutputCommand)['baseFlags'] & C['flags']
>
type Args<C extends typeof Command> = Interfaces.InferredArgs<C['args']>

/** Flags that the methods below look at, where a command has them. */
interface OutputFlags {
  readonly output?: FormatName
  readonly json?: boolean
  readonly 'no-headers'?: boolean
  readonly yes?: boolean
  readonly 'allow-partial'?: AllowedFailures
}

/** A list that shows its items as they come where the format allows it. */
type Read<T> = (onItem?: (item: T) => Promise<void> | undefined) => Promise<Report<T>>

export abstract class OutputCommand<C extends typeof Command> extends Command {
  static override baseFlags = globalFlags

  protected flags!: Flags<C>
  protected args!: Args<C>
  /** Positional arguments as typed, for commands with `static strict = false`. */
  protected words: readonly string[] = []
  protected terminal: Terminal = openTerminal({})
  protected logger: Log = stderrLog('normal')
  protected clock!: Clock
  private readonly signals: Signals = openSignals()
  private batch: OutputBatch | undefined
  private readonly closers: (() => Promise<void>)[] = []

  /** The job. Present once, or stream; throw what ends the whole command. */
  protected abstract execute(): Promise<void>

  /** Aborted by SIGINT and SIGTERM. */
  protected get signal(): AbortSignal {
    return this.signals.signal
  }

  protected get format(): FormatName {
    const {json, output} = this.known
    return json ? 'json' : (output ?? this.formats[0] ?? 'table')
  }

  /** The result, in the format asked for; errors and warnings on stderr; the exit status. */
  protected async present<T>(
    report: Report<T>,
    view: View<T>,
    options: {readonly findings?: boolean} = {},
  ): Promise<void> {
    const pieces = piecesOf(this.format, report, view, this.renderContext)
    await this.presentPieces(pieces, report.items.length, report, view, options)
  }

  protected get renderContext(): RenderContext {
    const headers = this.known['no-headers'] !== true
    return {nowMs: this.clock.nowMs(), color: this.terminal.colorOut, headers}
  }

  /** The same for a result whose `count` items are in its text only. */
  protected async presentPieces<T>(
    pieces: AsyncIterable<string>,
    count: number,
    report: Report<T>,
    view: View<T>,
    options: {readonly findings?: boolean} = {},
  ): Promise<void> {
    for await (const piece of pieces) await this.terminal.out(piece)
    if (!FORMATS[this.format].machine && this.format !== 'name') {
      if (count === 0 && report.errors.length === 0) this.say(view.empty ?? 'No resources found')
      const totals = view.totals?.(report)
      if (totals !== undefined) this.say(totals)
    }
    this.finish(report, options)
  }

  /** The result of `read`; with `-o jsonl` each item as it comes, then errors, warnings and the summary. */
  protected async answer<T>(view: View<T>, read: Read<T>): Promise<void> {
    if (this.format !== 'jsonl') return this.present(await read(), view)
    const report = await read((item) => this.emit('ITEM', item))
    for (const error of report.errors) await this.emit('ERROR', error)
    for (const warning of report.warnings) await this.emit('WARNING', warning)
    await this.emit('SUMMARY', report.summary)
    this.finish(report)
  }

  /** Errors and warnings of a report on stderr, and the exit status; for commands that streamed their items. */
  protected finish(
    report: Pick<Report<unknown>, 'summary' | 'errors' | 'warnings'>,
    options: {readonly findings?: boolean} = {},
  ): void {
    if (!this.flags.quiet) {
      for (const warning of report.warnings) this.terminal.err(warningLine(warning, this.terminal.colorErr))
    }
    const style = {color: this.terminal.colorErr, quiet: this.flags.quiet}
    this.terminal.err(reportErrorLines(report.errors, style))
    setExitCode(exitCodeOf(report, {...options, allowed: this.known['allow-partial']}))
  }

  /**
   * One object of a stream (`-o jsonl`). Small ones are written together, at the latest after a blink; waits
   * for a slow reader. @throws PipeClosedError
   */
  protected emit(type: StreamType, object: unknown): Promise<void> | undefined {
    this.batch ??= new OutputBatch(this.terminal, this.clock)
    return this.batch.add(jsonLine(type, object))
  }

  /** A message for people, on stderr; not with -q. */
  protected say(message: string): void {
    if (!this.flags.quiet) this.terminal.err(`${clean(message)}\n`)
  }

  /**
   * Asks before something large happens. `-y` answers yes.
   * @throws KmeshError `Cancelled` on no; UsageError without a terminal.
   */
  protected async confirm(question: string): Promise<void> {
    if (this.known.yes) return
    if (!this.terminal.interactive) {
      throw new UsageError(`${question} Nobody can answer here`, {hints: ['use --yes to go on']})
    }
    const answer = await this.terminal.question(`${clean(question)} [y/N] `, this.signal)
    if (answer === undefined) this.terminal.err('\n')
    if (/^y(es)?$/i.test(answer?.trim() ?? '')) return
    throw new KmeshError('cancelled, nothing was changed', {code: 'Cancelled'})
  }

  /** Called after `execute`, also when it failed; last registered first. */
  protected onClose(close: () => Promise<void>): void {
    this.closers.push(close)
  }

  override async init(): Promise<void> {
    await super.init()
    const parsed = await this.parse(this.ctor)
    this.flags = parsed.flags as Flags<C>
    this.args = parsed.args as Args<C>
    this.words = parsed.argv as string[]
    if (this.known.json && this.known.output !== undefined && this.known.output !== 'json') {
      throw new UsageError(`--json and -o ${this.known.output} contradict each other`)
    }
    this.terminal = openTerminal(this.flags)
    this.logger = stderrLog(this.verbosity())
    this.clock = await openClock()
  }

  async run(): Promise<void> {
    await Promise.race([this.execute(), this.signals.expired])
    await this.batch?.flush()
  }

  override async catch(thrown: Error): Promise<void> {
    const interrupted = this.signal.aborted && !(thrown instanceof PipeClosedError)
    const error = asKmeshError(interrupted ? this.signal.reason : thrown)
    setExitCode(error.exitCode)
    if (error instanceof PipeClosedError) return
    const debug = (this.flags as {debug?: boolean} | undefined)?.debug === true
    await this.batch?.flush().catch(() => undefined)
    this.terminal.err(errorLines(error, {color: this.terminal.colorErr, debug}))
    await this.writeErrorDocument(error).catch(() => undefined)
  }

  override async finally(): Promise<void> {
    for (const close of this.closers.reverse()) await close().catch(() => undefined)
    this.signals.close()
  }

  private get known(): OutputFlags {
    return this.flags as unknown as OutputFlags
  }

  private get formats(): readonly FormatName[] {
    const flags = this.ctor.flags as Readonly<Record<string, {options?: readonly string[]}>>
    return (flags['output']?.options ?? []) as readonly FormatName[]
  }

  private verbosity(): 'quiet' | 'normal' | 'verbose' | 'debug' {
    const {quiet, verbose, debug} = this.flags as {quiet?: boolean; verbose?: boolean; debug?: boolean}
    if (debug) return 'debug'
    if (verbose) return 'verbose'
    return quiet ? 'quiet' : 'normal'
  }

  private async writeErrorDocument(error: KmeshError): Promise<void> {
    const format = machineFormatOf(this.argv, this.formats)
    if (format === undefined) return
    const entry = reportErrorOf(error)
    const nowMs = this.clock === undefined ? (await openClock()).nowMs() : this.clock.nowMs()
    if (format === 'jsonl') return this.terminal.out(jsonLine('ERROR', entry))
    const document = errorDocument(entry, nowMs)
    await this.terminal.out(format === 'json' ? jsonText(document) : await yamlText(document))
  }
}
