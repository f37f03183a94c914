// SPDX-License-Identifier: Apache-2.0
/** What a command found, in the one shape that every output format is made of. */
import {
  DaemonError,
  EXIT,
  KmeshError,
  messageOf,
  type Phase,
  TimeoutError,
  UnreachableError,
} from '../errors.ts'

export const DOCUMENT_API_VERSION = 'cli.kmesh.net/v1alpha1'

/** `wait`: the state is known, the goal of `--wait` was not reached in time. */
export type ReportPhase = Phase | 'wait'

/** One target that failed. Unknown is null. */
export interface ReportError {
  readonly node: string | null
  /** Daemon pod, or the pod that was worked on. */
  readonly pod: string | null
  readonly namespace?: string | null
  readonly phase: ReportPhase | null
  readonly code: string
  readonly message: string
  readonly attempts: number
  readonly elapsedMs: number
  /** Exit status that this error alone would give. */
  readonly exitCode: number
  readonly hints: readonly string[]
}

export interface ReportWarning {
  readonly code: string
  readonly message: string
  readonly node?: string | null
  readonly pod?: string | null
}

/** `ok` counts targets that worked: with at least one, other failures are partial (exit 4). */
export interface ReportSummary {
  readonly requested: number
  readonly ok: number
  readonly failed: number
  readonly skipped: number
  readonly [more: string]: unknown
}

export interface Report<T> {
  /** `LogLevelList`, `MapEntryList`, ... */
  readonly kind: string
  readonly summary: ReportSummary
  /** In their final order: by node, then by name. */
  readonly items: readonly T[]
  readonly errors: readonly ReportError[]
  readonly warnings: readonly ReportWarning[]
}

export interface Document<T> extends Report<T> {
  readonly apiVersion: typeof DOCUMENT_API_VERSION
  readonly generatedAt: string
}

/** The document of `-o json|yaml`; keys in their published order. */
export function documentOf<T>(report: Report<T>, nowMs: number): Document<T> {
  const {kind, summary, items, errors, warnings} = report
  const generatedAt = new Date(nowMs).toISOString()
  return {apiVersion: DOCUMENT_API_VERSION, kind, generatedAt, summary, items, errors, warnings}
}

/** The one document of a command that failed as a whole. */
export function errorDocument(error: ReportError, nowMs: number): Document<never> {
  const summary = {requested: 0, ok: 0, failed: 1, skipped: 0}
  return documentOf({kind: 'Error', summary, items: [], errors: [error], warnings: []}, nowMs)
}

export interface ErrorContext {
  readonly node?: string | null
  readonly pod?: string | null
  readonly namespace?: string | null
  readonly phase?: ReportPhase | null
  readonly attempts?: number
  readonly elapsedMs?: number
}

/** A thrown value as an entry of `errors`. Anything that is no KmeshError is a bug of ours: code `Internal`. */
export function reportErrorOf(thrown: unknown, context: ErrorContext = {}): ReportError {
  const known = thrown instanceof KmeshError ? thrown : undefined
  return {
    node: context.node ?? null,
    pod: context.pod ?? null,
    ...(context.namespace === undefined ? {} : {namespace: context.namespace}),
    phase: context.phase ?? phaseOf(thrown),
    code: known?.code ?? 'Internal',
    message: messageOf(thrown),
    attempts: context.attempts ?? 1,
    elapsedMs: Math.round(context.elapsedMs ?? 0),
    exitCode: known?.exitCode ?? EXIT.failure,
    hints: known?.hints ?? [],
  }
}

function phaseOf(thrown: unknown): ReportPhase | null {
  if (thrown instanceof UnreachableError) return thrown.phase
  if (thrown instanceof TimeoutError) return thrown.phase ?? 'wait'
  return thrown instanceof DaemonError ? 'request' : null
}

/** When several apply, the first one is the exit status (docs/exit-codes.md). */
const PRECEDENCE: readonly number[] = [
  EXIT.interrupted,
  EXIT.terminated,
  EXIT.hangUp,
  EXIT.usage,
  EXIT.denied,
  EXIT.conflict,
  EXIT.failure,
  EXIT.partial,
  EXIT.timeout,
  EXIT.findings,
]

/** Targets that may fail, as a number or as a share of those that were asked. */
export type AllowedFailures = {readonly count: number} | {readonly percent: number}

export interface ExitOptions {
  /** The command found what `--fail-on` asks for (exit 3). */
  readonly findings?: boolean
  /** `--allow-partial`: so many failures count as none, if one target worked. */
  readonly allowed?: AllowedFailures | undefined
}

/**
 * Exit status of a report: that of its errors, where plain failures (1) count as partial (4) once one target
 * worked. Skipped targets change nothing.
 */
export function exitCodeOf(
  report: Pick<Report<unknown>, 'summary' | 'errors'>,
  options: ExitOptions = {},
): number {
  const isAllowed = areAllowed(report.summary, options.allowed)
  const codes = report.errors
    .map(({exitCode}) => (exitCode === EXIT.failure && report.summary.ok > 0 ? EXIT.partial : exitCode))
    .filter((code) => !isAllowed || code === EXIT.interrupted || code === EXIT.terminated)
  if (options.findings) codes.push(EXIT.findings)
  return PRECEDENCE.find((code) => codes.includes(code)) ?? codes[0] ?? EXIT.ok
}

function areAllowed({ok, failed}: ReportSummary, allowed: AllowedFailures | undefined): boolean {
  if (allowed === undefined || ok === 0) return false
  return failed <= ('count' in allowed ? allowed.count : ((ok + failed) * allowed.percent) / 100)
}

/** Order of every list: by node, then pod, then the rest; unknown last. Plain code points, no locale. */
export function compareText(a: string | null | undefined, b: string | null | undefined): number {
  if (a === b) return 0
  if (a === null || a === undefined) return 1
  if (b === null || b === undefined) return -1
  return a < b ? -1 : 1
}
