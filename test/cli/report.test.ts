// SPDX-License-Identifier: Apache-2.0
// Goal: the exit status of a report follows the precedence of docs/exit-codes.md; durations and output choices parse.
// Method: pure functions against values written by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {parseDuration} from '../../src/lib/cli/duration.ts'
import {machineFormatOf} from '../../src/lib/cli/output-choice.ts'
import {KmeshError, TimeoutError, UnreachableError} from '../../src/lib/errors.ts'
import {exitCodeOf, reportErrorOf} from '../../src/lib/model/report.ts'

const summary = (ok: number) => ({requested: 9, ok, failed: 9 - ok, skipped: 0})
const denied = reportErrorOf(new KmeshError('no', {exitCode: 6}))
const conflict = reportErrorOf(new KmeshError('no', {exitCode: 7}))
const failed = reportErrorOf(new UnreachableError('connect', 'no'))
const late = reportErrorOf(new TimeoutError('no'))
const skipped = reportErrorOf(new KmeshError('no', {exitCode: 0}))

test('exit status by precedence 6, 7, 1, 4, 5, 3', () => {
  const codeOf = (ok: number, ...errors: ReturnType<typeof reportErrorOf>[]) =>
    exitCodeOf({summary: summary(ok), errors})
  assert.equal(codeOf(9), 0)
  assert.equal(codeOf(3, skipped), 0)
  assert.equal(codeOf(0, failed), 1)
  assert.equal(codeOf(1, failed), 4)
  assert.equal(codeOf(1, failed, late), 4)
  assert.equal(codeOf(1, late), 5)
  assert.equal(codeOf(1, failed, conflict, denied), 6)
  assert.equal(codeOf(1, failed, conflict), 7)
  assert.equal(exitCodeOf({summary: summary(9), errors: []}, {findings: true}), 3)
  assert.equal(exitCodeOf({summary: summary(1), errors: [late]}, {findings: true}), 5)
})

test('an error keeps its phase; a deadline of --wait has phase wait', () => {
  assert.deepEqual([failed.phase, late.phase, denied.phase], ['connect', 'wait', null])
})

test('durations have a unit', () => {
  assert.deepEqual(
    ['0', '500ms', '30s', '10m', '1h30m', '1.5s'].map((text) => parseDuration(text, '--for')),
    [0, 500, 30_000, 600_000, 5_400_000, 1500],
  )
  for (const text of ['', '10', '-1s', '1x', '10 m', '9999d']) {
    assert.throws(() => parseDuration(text, '--for'), {code: 'Usage', parameter: '--for'})
  }
})

test('the machine format of a command line that cannot be parsed', () => {
  const all = ['table', 'json', 'yaml'] as const
  assert.equal(machineFormatOf(['--bad', '-o', 'json'], all), 'json')
  assert.equal(machineFormatOf(['-oyaml'], all), 'yaml')
  assert.equal(machineFormatOf(['--output=json', '--json'], all), 'json')
  assert.equal(machineFormatOf(['-o', 'nope', '-o', 'json'], all), 'json')
  assert.equal(machineFormatOf(['-o', 'table', '-ojson', '-o', 'nope'], all), 'json')
  for (const argv of [
    [],
    ['-o', 'table'],
    ['-o', 'xml'],
    ['-o', 'jsonl'],
    ['--json', '-o', 'yaml'],
    ['--', '--json'],
    ['-o', 'json', '-o', 'table'],
    ['-o'],
  ]) {
    assert.equal(machineFormatOf(argv, all), undefined)
  }
})
