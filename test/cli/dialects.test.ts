// SPDX-License-Identifier: Apache-2.0
// Goal: every command with every Go daemon, of every version and in both modes, says what the daemon says, or by name
// what it cannot: tables, documents, exit codes and the whole of stderr. A new command that asks daemons needs a row.
// Method: the built program against the recorded-answer daemons; the table of dialects-rows.ts, by hand.
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {after, before, describe, test} from 'node:test'
import {CLI_ENTRY} from '../fakes/cli.ts'
import {CELLS, type DialectCluster, startDialectCluster} from './dialects-fixture.ts'
import type {Row} from './dialects-row.ts'
import {ROWS} from './dialects-rows.ts'
import {checkDocument} from './document-schema.ts'

let cluster: DialectCluster
before(async () => {
  cluster = await startDialectCluster()
})
after(() => cluster.close())

/** Times differ from run to run, and the version with each release. */
const plain = (text: string): string =>
  text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>').replace(/^(client +\S+ +)\S+/gm, '$1<version>')

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '')

function expectedStderr(row: Row, isTable: boolean): string[] {
  return [
    ...CELLS.flatMap((cell) => row.stderr(cell)),
    ...(row.said ?? []),
    ...(isTable ? row.totals : []),
  ].sort()
}

function expectedCells(row: Row): string[][] {
  return [...(row.first ?? []), ...CELLS.flatMap((cell) => row.cells(cell))].map((line) => [...line])
}

for (const row of ROWS) {
  describe(row.words, () => {
    const expected = expectedCells(row)

    test('as a document', async () => {
      cluster.reset()
      const {code, stdout, stderr} = await cluster.run([...row.words.split(' '), '-o', 'json'])
      const document = JSON.parse(stdout)
      checkDocument(document)
      const cells = document.items.map((item: Record<string, unknown>) =>
        row.cellsOf(item).map((value) => plain(String(value === '' ? '<none>' : (value ?? '<none>')))),
      )
      if (row.id === 'version') cells[0][2] = '<version>'
      assert.deepEqual(cells, expected)
      assert.deepEqual(linesOf(plain(stderr)).sort(), expectedStderr(row, false))
      assert.equal(code, row.code)
    })

    test('as a table', async () => {
      cluster.reset()
      const {code, stdout, stderr} = await cluster.run(row.words.split(' '))
      const lines = linesOf(plain(stdout)).map((line) => line.trim().split(/ {3,}/))
      const header = row.header.split(' ').map((name) => name.replace('_', ' '))
      assert.deepEqual(lines, expected.length === 0 ? [] : [header, ...expected])
      assert.deepEqual(linesOf(plain(stderr)).sort(), expectedStderr(row, true))
      assert.equal(code, row.code)
    })
  })
}

test('every command that asks daemons has a row', () => {
  const file = join(dirname(CLI_ENTRY), '..', 'oclif.manifest.json')
  const {commands} = JSON.parse(readFileSync(file, 'utf8')) as {
    commands: Record<string, {flags: Record<string, unknown>}>
  }
  const asking = Object.entries(commands)
    .filter(([, {flags}]) => 'admin-port' in flags || 'daemon-url' in flags)
    .map(([id]) => id)
  assert.ok(asking.length >= 13, `${asking.length}`)
  // A pod has one daemon: dialects-path.test.ts asks each of them.
  const rows = new Set(['path', ...ROWS.map(({id}) => id)])
  assert.deepEqual(
    asking.filter((id) => !rows.has(id)),
    [],
  )
})

test('the mode is found by HEAD: no dump is asked for to find it', async () => {
  cluster.reset()
  await cluster.run(['version', '--all-nodes'])
  for (const {requests} of cluster.daemons.values()) {
    const heads = requests.filter((line) => line.startsWith('HEAD /debug/config_dump/'))
    assert.ok(heads.length > 0)
    assert.deepEqual(
      requests.filter((line) => line.startsWith('GET') && line.includes('dump')),
      [],
    )
  }
})
