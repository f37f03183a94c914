// SPDX-License-Identifier: Apache-2.0
// Goal: the committed object is what the sources give, wherever they are built.
// Method: `make check`, which builds in another directory and compares bytes; then it must notice a difference.
import assert from 'node:assert/strict'
import {execFileSync, spawnSync} from 'node:child_process'
import {appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, describe, test} from 'node:test'

const SOURCES = join(import.meta.dirname, '../../bpf')

/** Only the compiler that made the object gives its bytes; in CI that one has to be there. */
function skipReason(): string | false {
  if (process.env['KMESH_REQUIRE_KERNEL'] === '1') return false
  const wanted = /^BUILT_WITH := (\S+)$/m.exec(readFileSync(join(SOURCES, 'Makefile'), 'utf8'))?.[1] ?? ''
  const versions = ['clang-14', 'clang'].map(
    (name) => spawnSync(name, ['--version'], {encoding: 'utf8'}).stdout,
  )
  // The first one that is there is what the Makefile takes.
  return versions.find(Boolean)?.includes(` ${wanted}`) === true ? false : `needs clang ${wanted}`
}

describe('bpf/kmesh.bpf.o', {skip: skipReason()}, () => {
  let copy: string

  before(() => {
    copy = mkdtempSync(join(tmpdir(), `kmt${process.pid}-object-`))
    cpSync(SOURCES, copy, {recursive: true})
  })
  after(() => rmSync(copy, {recursive: true}))

  function check(): {status: number | null; stderr: string} {
    return spawnSync('make', ['-s', '-C', copy, 'check'], {encoding: 'utf8'})
  }

  test('sources in two other directories give the committed bytes', () => {
    assert.deepEqual({status: check().status}, {status: 0})
    execFileSync('make', ['-s', '-C', copy, 'clean', 'all'])
    assert.deepEqual(readFileSync(join(copy, 'kmesh.bpf.o')), readFileSync(join(SOURCES, 'kmesh.bpf.o')))
  })

  test('a changed source is noticed', () => {
    appendFileSync(join(copy, 'connect4.c'), '\n__u32 km_one_more = 1;\n')
    const {status, stderr} = check()
    assert.notEqual(status, 0)
    assert.match(stderr, /is not what the sources give/)
  })

  test('no path of the build machine is inside', () => {
    assert.doesNotMatch(readFileSync(join(SOURCES, 'kmesh.bpf.o'), 'latin1'), /\/(work|home|root|tmp)\//)
  })
})
