// SPDX-License-Identifier: Apache-2.0
// Goal: a map that is named is asked for at once; the list of maps is read only to tell why one is refused.
// Method: the spawned command and a daemon that records what it is asked.
import assert from 'node:assert/strict'
import {after, test} from 'node:test'
import {runCli} from '../fakes/cli.ts'
import {startOwnDaemon} from '../fakes/daemons.ts'

const daemon = await startOwnDaemon()
after(() => daemon.close())

/** Map names, `list` for the list of maps; what comes before them is `GET /version`. */
async function asked(...maps: readonly string[]) {
  daemon.requests.length = 0
  const {stdout} = await runCli(['dump', 'maps', ...maps, '--daemon-url', daemon.url, '-o', 'json'])
  const [version, ...paths] = daemon.requests.map((line) => line.replace('GET /debug/bpf/maps', ''))
  assert.equal(version, 'GET /version')
  return {paths: paths.map((path) => path.slice(1) || 'list'), document: JSON.parse(stdout)}
}

test('a named map', async () => {
  const {paths, document} = await asked('km_frontend')
  assert.deepEqual(paths, ['km_frontend'])
  assert.deepEqual([document.items.length, document.errors], [1, []])
})

test('all maps', async () => {
  const {paths, document} = await asked()
  assert.deepEqual(paths, ['list', 'km_frontend', 'km_globals'])
  assert.equal(document.warnings[0].code, 'MapSkipped')
})

test('a refused map costs the others nothing and is explained', async () => {
  const {paths, document} = await asked('km_none', 'km_log_event', 'km_frontend')
  assert.deepEqual(paths, ['km_none', 'list', 'km_log_event', 'list', 'km_frontend'])
  assert.deepEqual(
    document.errors.map(({code, hints}: {code: string; hints: string[]}) => [code, hints]),
    [
      ['UnknownMap', ['maps are km_frontend, km_globals']],
      ['MapNotReadable', []],
    ],
  )
  assert.equal(document.items.length, 1)
})
