// SPDX-License-Identifier: Apache-2.0
// Goal: the launchers take a Node of 22.19 or later, the packaged one first, and say what is wrong with any other.
// Method: the launcher in a folder of its own, and on PATH this Node that says it is another version.
import assert from 'node:assert/strict'
import {spawnSync} from 'node:child_process'
import {chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, test} from 'node:test'

const BIN = join(import.meta.dirname, '../../bin')
const folder = mkdtempSync(join(tmpdir(), 'kmt-node-'))
after(() => rmSync(folder, {recursive: true}))
mkdirSync(join(folder, 'bin'))
for (const name of ['with-node', 'choose-node.sh']) copyFileSync(join(BIN, name), join(folder, 'bin', name))

/** A folder for PATH with a `node` that says it is `version`. */
function fakeNode(place: string, version: string): string {
  mkdirSync(place, {recursive: true})
  const hook = join(place, 'version.cjs')
  writeFileSync(
    hook,
    `Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}});Object.defineProperty(process,'version',{value:'v${version}'})`,
  )
  const file = join(place, 'node')
  writeFileSync(
    file,
    `#!/bin/sh\n[ "$1" = -v ] && echo v${version} && exit\nexec '${process.execPath}' --require '${hook}' "$@"\n`,
  )
  chmodSync(file, 0o755)
  return place
}

function launch(path: string) {
  const env = {PATH: `${path}:/usr/bin:/bin`}
  return spawnSync(join(folder, 'bin/with-node'), ['-p', 'process.version'], {env, encoding: 'utf8'})
}

for (const version of ['22.19.0', '22.20.1', '24.0.0', '26.1.0', '100.0.0']) {
  test(`Node ${version} of the machine is taken`, () => {
    const {status, stdout} = launch(fakeNode(join(folder, version), version))
    assert.deepEqual([status, stdout], [0, `v${version}\n`])
  })
}

for (const version of ['18.20.0', '20.19.5', '22.18.0', '9.9.9']) {
  test(`Node ${version} of the machine is refused by name`, () => {
    const {status, stdout, stderr} = launch(fakeNode(join(folder, version), version))
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, new RegExp(`^error: Node v${version} is too old; kmeshctl needs Node >= 22.19 `))
  })
}

test('the packaged Node goes before the one of the machine, however old that is', (t) => {
  const machine = process.arch === 'x64' ? 'x64' : 'arm64'
  const modules = join(folder, 'node_modules')
  t.after(() => rmSync(modules, {recursive: true}))
  fakeNode(join(modules, `node-linux-${machine}/bin`), '26.9.9')
  const {status, stdout} = launch(fakeNode(join(folder, 'old'), '20.0.0'))
  assert.deepEqual([status, stdout], [0, 'v26.9.9\n'])
})
