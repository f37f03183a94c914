// SPDX-License-Identifier: Apache-2.0
/** Static checks: types, format and lint, promise rules, unused code, the committed BPF object. Runs all, then tells. */
import {spawnSync} from 'node:child_process'
import {join} from 'node:path'

const root = join(import.meta.dirname, '..')
const tool = (name: string) => join(root, 'node_modules/.bin', name)

const CHECKS: readonly {readonly name: string; readonly command: readonly string[]}[] = [
  {name: 'lockfile holds every platform', command: [process.execPath, 'bin/lockfile.ts']},
  {name: 'types (tsc)', command: [process.execPath, tool('tsc')]},
  {
    name: 'types of the page (tsc)',
    command: [process.execPath, tool('tsc'), '-p', 'src/lib/render/html/browser'],
  },
  {name: 'page is what its sources build', command: [process.execPath, 'bin/interop-page.ts']},
  {
    name: 'format and lint (biome)',
    command: [process.execPath, tool('biome'), 'check', '--error-on-warnings', '.'],
  },
  {
    name: 'promises (eslint)',
    command: [process.execPath, tool('eslint'), '--max-warnings=0', 'src', 'test', 'bin'],
  },
  {name: 'unused code (knip)', command: [process.execPath, tool('knip')]},
  {name: 'BPF object is what its sources build', command: ['make', '-C', 'bpf', '-s', 'check']},
]

/** Returns the number of failed checks; each prints its output only when it failed. */
export function runChecks(): number {
  let failed = 0
  for (const {name, command} of CHECKS) {
    const [program = '', ...args] = command
    const result = spawnSync(program, args, {cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024})
    const ok = result.status === 0
    console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}`)
    if (!ok) {
      failed += 1
      console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error ? result.error.message : ''}`)
    }
  }
  return failed
}

if (import.meta.main) process.exitCode = runChecks() === 0 ? 0 : 1
