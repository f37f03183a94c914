// SPDX-License-Identifier: Apache-2.0
// Goal: the node's shared files: whole or not at all, nobody else's change is lost, folders are told when they change.
// Method: the adapter on a temporary folder.
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {createNodeFiles} from '../../src/lib/adapters/node-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'kmt-files-'))
const files = createNodeFiles()
const at = (name: string): string => join(folder, name)
const bytes = (text: string): Uint8Array => Buffer.from(text)

after(() => rmSync(folder, {recursive: true}))

test('names in byte order; no folder, no names', () => {
  mkdirSync(at('order'))
  for (const name of ['b', 'B', 'ä', '.a', '10', '9', '\u{1F600}', '\uffee'])
    writeFileSync(at(`order/${name}`), '')
  assert.deepEqual(files.names(at('order')), ['.a', '10', '9', 'B', 'b', 'ä', '\uffee', '\u{1F600}'])
  assert.equal(files.names(at('none')), undefined)
})

test('what is no plain file, or too large, is refused at once', {timeout: 5000}, () => {
  execFileSync('mkfifo', [at('pipe')])
  assert.throws(() => files.read(at('pipe'), 10), {code: 'NotAFile'})
  assert.throws(() => files.read(folder, 10), {code: 'NotAFile'})
  writeFileSync(at('large'), '12345678901')
  assert.throws(() => files.read(at('large'), 10), {code: 'TooLarge'})
  assert.equal(files.read(at('none'), 10), undefined)
})

test('replace: refused when the file is other bytes, another file, longer, or gone', () => {
  const changes: [string, () => void][] = [
    ['bytes', () => writeFileSync(at('file'), 'two')],
    ['longer', () => writeFileSync(at('file'), 'one and more')],
    ['gone', () => rmSync(at('file'))],
    [
      'replaced by the same bytes',
      () => {
        writeFileSync(at('next'), 'one')
        renameSync(at('next'), at('file'))
      },
    ],
  ]
  for (const [what, change] of changes) {
    writeFileSync(at('file'), 'one')
    const file = files.read(at('file'), 100)
    assert.ok(file)
    change()
    assert.throws(() => files.replace(file, bytes('ours')), {code: 'Conflict'}, what)
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes('kmesh')),
      [],
    )
  }
})

test('write: the same content and mode is not written again', () => {
  assert.equal(files.write(at('program'), bytes('x'), 0o755), true)
  const {ino} = statSync(at('program'))
  assert.equal(files.write(at('program'), bytes('x'), 0o755), false)
  assert.equal(statSync(at('program')).ino, ino)
  assert.equal(files.write(at('program'), bytes('x'), 0o600), true)
  assert.equal(statSync(at('program')).mode & 0o777, 0o600)
})

test('copy: a program that runs goes on, the next start is the new one', async () => {
  writeFileSync(at('old'), readFileSync('/bin/sleep'), {mode: 0o755})
  await files.copy(at('old'), at('copied'), 0o755)
  const running = execFileSync('sh', ['-c', `${at('copied')} 30 >/dev/null 2>&1 & echo $!`])
    .toString()
    .trim()
  writeFileSync(at('new'), '#!/bin/sh\necho new\n')
  assert.equal(await files.copy(at('new'), at('copied'), 0o755), true)
  assert.equal(execFileSync(at('copied')).toString(), 'new\n')
  assert.match(readFileSync(`/proc/${running}/cmdline`, 'utf8'), /copied/)
  process.kill(Number(running))
  assert.equal(await files.copy(at('new'), at('copied'), 0o755), false)
})

test('one holder of a folder; it ends with the holder', () => {
  const first = files.lock(folder)
  assert.throws(() => files.lock(folder), {code: 'AlreadyRunning'})
  first[Symbol.dispose]()
  files.lock(folder)[Symbol.dispose]()
})

test('a change in the folder is told', {timeout: 10_000}, async () => {
  let calls = 0
  using _watch = files.watch(folder, () => (calls += 1))
  writeFileSync(at('seen'), '1')
  while (calls === 0) await sleep(10)
  await sleep(50)
  calls = 0
  renameSync(at('seen'), at('moved'))
  while (calls === 0) await sleep(10)
})

test('what interrupted writes left is swept, nothing else', () => {
  mkdirSync(at('left'))
  for (const name of ['.x.conflist.kmesh-new', 'x.conflist.kmesh-new', '.x.conflist'])
    writeFileSync(at(`left/${name}`), '')
  files.sweep(at('left'))
  assert.deepEqual(files.names(at('left')), ['.x.conflist', 'x.conflist.kmesh-new'])
  files.sweep(at('none'))
})

test('folders: made and removed only when they are ours to', () => {
  assert.equal(files.makeDirectory(at('made'), 0o755), true)
  assert.equal(files.makeDirectory(at('made'), 0o755), false)
  writeFileSync(at('made/x'), '')
  assert.equal(files.removeDirectory(at('made')), false)
  assert.equal(files.remove(at('made/x')), true)
  assert.equal(files.remove(at('made/x')), false)
  assert.equal(files.removeDirectory(at('made')), true)
})
