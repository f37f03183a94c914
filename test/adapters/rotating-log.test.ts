// SPDX-License-Identifier: Apache-2.0
// Goal: a log that many processes write at once loses no line while it is renamed, and stays bounded.
// Method: real files; several processes append to a log that is renamed every few lines.
import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, test} from 'node:test'
import {appendLine} from '../../src/lib/adapters/rotating-log.ts'

const folder = mkdtempSync(join(tmpdir(), 'kmt-log-'))
after(() => rmSync(folder, {recursive: true}))

const NOW_MS = Date.UTC(2026, 0, 1)

function linesBelow(directory: string): string[] {
  return readdirSync(directory)
    .flatMap((name) => readFileSync(join(directory, name), 'utf8').split('\n'))
    .filter((line) => line !== '')
}

test('the folder is made, files are for their owner', () => {
  const file = join(folder, 'made', 'here', 'x.log')
  appendLine({file, maxBytes: 1000, keep: 3}, 'a\n', NOW_MS)
  assert.equal(readFileSync(file, 'utf8'), 'a\n')
  assert.equal((statSync(file).mode & 0o777).toString(8), '600')
})

test('it is renamed before it is too long; the oldest go, other files stay', () => {
  const directory = join(folder, 'bounded')
  mkdirSync(directory)
  writeFileSync(join(directory, 'x.log.mine'), 'mine')
  const log = {file: join(directory, 'x.log'), maxBytes: 100, keep: 2}
  for (let line = 0; line < 50; line += 1)
    appendLine(log, `${String(line).padStart(39, '0')}\n`, NOW_MS + line)
  const names = readdirSync(directory).sort()
  assert.equal(names.length, 4)
  assert.ok(names.includes('x.log') && names.includes('x.log.mine'))
  for (const name of names) assert.ok(statSync(join(directory, name)).size <= 100)
  // Two lines fit: 48 and 49 are in the file, 44 to 47 in the two before.
  const kept = linesBelow(directory).filter((line) => line !== 'mine')
  assert.deepEqual(kept.map(Number).sort(), [44, 45, 46, 47, 48, 49])
})

test('a line that is longer than the file may be is written, not lost', () => {
  const log = {file: join(folder, 'long.log'), maxBytes: 10, keep: 2}
  appendLine(log, `${'x'.repeat(500)}\n`, NOW_MS)
  assert.equal(statSync(log.file).size, 501)
})

test('links and folders in its place are refused', () => {
  const log = {file: join(folder, 'link.log'), maxBytes: 100, keep: 2}
  writeFileSync(join(folder, 'target'), 'mine')
  symlinkSync(join(folder, 'target'), log.file)
  assert.throws(() => appendLine(log, 'a\n', NOW_MS), {code: 'ELOOP'})
  assert.equal(readFileSync(join(folder, 'target'), 'utf8'), 'mine')
  mkdirSync(join(folder, 'directory.log'))
  assert.throws(() => appendLine({...log, file: join(folder, 'directory.log')}, 'a\n', NOW_MS), {
    code: 'EISDIR',
  })
})

const WRITERS = 6
const LINES = 300

test('writers at once lose no line', {timeout: 60_000}, async () => {
  const directory = join(folder, 'many')
  mkdirSync(directory)
  const module = join(import.meta.dirname, '../../src/lib/adapters/rotating-log.ts')
  const script = `
    const {appendLine} = await import(process.argv[1])
    const log = {file: process.argv[2], maxBytes: 500, keep: 100_000}
    for (let line = 0; line < ${LINES}; line += 1) appendLine(log, process.argv[3] + '-' + line + '\\n', Date.now())`
  const writers = Array.from({length: WRITERS}, (_unused, writer) => {
    const args = ['--input-type=module', '-e', script, module, join(directory, 'x.log'), `w${writer}`]
    const child = spawn(process.execPath, args, {stdio: ['ignore', 'ignore', 'inherit']})
    return new Promise((resolve) => child.once('close', resolve))
  })
  assert.deepEqual(
    await Promise.all(writers),
    Array.from({length: WRITERS}, () => 0),
  )
  const lines = linesBelow(directory)
  assert.equal(new Set(lines).size, WRITERS * LINES)
  assert.equal(lines.length, WRITERS * LINES)
  assert.ok(readdirSync(directory).length > 20)
})
