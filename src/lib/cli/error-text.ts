// SPDX-License-Identifier: Apache-2.0
/** Errors and warnings as lines for stderr. */
import {EXIT, KmeshError, messageOf, UsageError} from '../errors.ts'
import type {ReportError, ReportWarning} from '../model/report.ts'
import {paint} from '../render/table.ts'
import {clean, count} from '../render/text.ts'

/** What went wrong in the terms of this program; a parser's error becomes a UsageError. */
export function asKmeshError(thrown: unknown): KmeshError {
  if (thrown instanceof KmeshError) {
    return thrown instanceof UsageError ? usageError(thrown.message, thrown) : thrown
  }
  if (isParserError(thrown)) return usageError(thrown.message)
  return new KmeshError(`internal error: ${messageOf(thrown)}`, {
    code: 'Internal',
    exitCode: EXIT.failure,
    cause: thrown,
    hints: ['this is a defect of kmeshctl; --debug shows where it happened'],
  })
}

/** oclif's parse errors carry the parser's input; every other one a status of its own. */
function isParserError(thrown: unknown): thrown is Error {
  return thrown instanceof Error && ('parse' in thrown || 'oclif' in thrown)
}

/** oclif wraps messages in its own words and adds a help line; the hint says that once. */
function usageError(message: string, origin?: UsageError): UsageError {
  const text = message
    .replace(/^Parsing (--?\S+) \n\t(?!\1)/, '$1: ')
    .replace(/^Parsing --?\S+ \n\t/, '')
    .replace(/\nSee more help with --help$/, '')
    .replace(/\n\nNote: [\s\S]*$/, '')
    .replace(/^The following errors? occurred:\n\s*/, '')
  const hints = origin?.hints.length ? origin.hints : ['--help shows the flags and arguments']
  return new UsageError(text, {
    code: origin?.code ?? 'Usage',
    hints,
    ...(origin?.parameter === undefined ? {} : {parameter: origin.parameter}),
  })
}

/** `error: <message>` and its hints. */
export function errorLines(error: KmeshError, options: {color: boolean; debug: boolean}): string {
  const lines = [`${paint('error:', 'bad', options.color)} ${clean(error.message)}`]
  const cause = error.cause === undefined ? '' : clean(messageOf(error.cause))
  if (cause !== '' && !clean(error.message).includes(cause)) lines[0] += `: ${cause}`
  lines.push(...hintLines(error.hints))
  if (options.debug) lines.push(...stackLines(error))
  return `${lines.join('\n')}\n`
}

function stackLines(error: Error): string[] {
  const own = (error.stack ?? '').split('\n').slice(1).map(clean)
  const cause = error.cause instanceof Error ? ['caused by:', ...stackLines(error.cause)] : []
  return [...own.map((line) => `  ${line}`), ...cause]
}

/** Errors of a report: a line each, but one for all that were left out, and one for all that were interrupted. */
export function reportErrorLines(
  errors: readonly ReportError[],
  options: {readonly color: boolean; readonly quiet: boolean},
): string {
  const {color, quiet} = options
  const lines = errors
    .filter(({code}) => code !== 'NotSampled' && code !== 'Interrupted')
    .map((error) => targetErrorLine(error, color))
  const left = errors.filter(({code}) => code === 'NotSampled').length
  if (left > 0 && !quiet) {
    const message = `${count(left, 'daemon')} ${left === 1 ? 'was' : 'were'} left out by --sample`
    lines.unshift(warningLine({code: 'NotSampled', message}, color))
  }
  const interrupted = errors.filter(({code}) => code === 'Interrupted')
  if (interrupted.length > 0) {
    const untouched = interrupted.filter(({attempts}) => attempts === 0).length
    const begun = count(interrupted.length - untouched, 'daemon')
    lines.push(
      `${paint('error:', 'bad', color)} interrupted: ${begun} had not answered, ${untouched} not asked any more\n`,
    )
  }
  return lines.join('')
}

/** One target that failed: `error: node n1 (pod kmesh-x, connect): <message>`. */
export function targetErrorLine(error: ReportError, color: boolean): string {
  const pod = error.namespace && error.pod ? `${error.namespace}/${error.pod}` : error.pod
  const where = [error.node === null ? null : pod && `pod ${pod}`, error.phase].filter(Boolean).join(', ')
  const isNamed = error.namespace && !error.message.includes(`namespace ${error.namespace}`)
  const namespace = isNamed ? `namespace ${error.namespace}` : ''
  const who = error.node === null ? (pod ?? namespace) : targetName(error.node)
  const subject = who === '' || where === '' ? who : `${who} (${where})`
  const text = clean(subject === '' ? error.message : `${subject}: ${error.message}`)
  return [`${paint('error:', 'bad', color)} ${text}`, ...hintLines(error.hints)].join('\n').concat('\n')
}

function targetName(node: string): string {
  return node.includes('://') ? node : `node ${node}`
}

export function warningLine(warning: ReportWarning, color: boolean): string {
  const where = warning.node ? `${targetName(warning.node)}: ` : ''
  return `${paint('warning:', 'warn', color)} ${clean(`${where}${warning.message}`)} (${clean(warning.code)})\n`
}

function hintLines(hints: readonly string[]): string[] {
  return hints.flatMap((hint) =>
    hint
      .split('\n')
      .map((line, index) => (index === 0 ? `hint: ${clean(line)}` : `      ${cleanIndented(line)}`)),
  )
}

/** Keeps the indentation of a YAML snippet. */
function cleanIndented(line: string): string {
  return `${/^ */.exec(line)?.[0] ?? ''}${clean(line)}`
}
