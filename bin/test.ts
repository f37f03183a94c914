// SPDX-License-Identifier: Apache-2.0
/**
 * Runs the tests and prints one closing line. `all` begins with the static
 * checks and ends with a comparison of the machine before and after.
 */
import {globSync} from 'node:fs'
import {join} from 'node:path'
import {run} from 'node:test'
import {spec} from 'node:test/reporters'
import {setTimeout as sleep} from 'node:timers/promises'
import {leftovers, machineState} from '../test/machine-state.ts'
import {runChecks} from './check.ts'

const root = join(import.meta.dirname, '..')
/** Programs are freed a little after their last user is gone. */
const SETTLE_MS = 5000
const SETTLE_STEP_MS = 250

interface Counts {
  passed: number
  failed: number
  skipped: number
}

interface Group {
  readonly name: string
  readonly files: readonly string[]
  readonly concurrency: number
}

/** These compare the whole machine before and after, or hold a lock that is the machine's. */
const ALONE = ['test/e2e/memory.test.ts', 'test/e2e/control-plane.test.ts', 'test/e2e/bypass*.test.ts']

function find(pattern: string, exclude: readonly string[] = []): string[] {
  return globSync(pattern, {cwd: root, exclude: [...exclude]})
    .sort()
    .map((file) => join(root, file))
}

function groups(mode: string, only: string | undefined): Group[] {
  const unit: Group = {
    name: 'unit',
    files: find('test/**/*.test.{ts,tsx}', ['test/e2e/**', 'test/soak/**']),
    concurrency: 2,
  }
  const alone = ALONE.flatMap((pattern) => find(pattern))
  const e2e: Group = {name: 'end to end', files: find('test/e2e/*.test.ts', ALONE), concurrency: 2}
  const e2eAlone: Group = {name: 'end to end, one at a time', files: alone, concurrency: 1}
  const soak: Group = {name: 'soak', files: find('test/soak/*.test.ts'), concurrency: 1}
  const chosen: Record<string, Group[]> = {
    unit: [unit],
    e2e: [e2e, e2eAlone],
    soak: [soak],
    all: [unit, e2e, e2eAlone, soak],
  }
  const found = chosen[mode]
  if (found === undefined) throw new Error(`unknown mode '${mode}': unit, e2e, soak, all`)
  if (only === undefined) return found
  return found.map((group) => ({...group, files: group.files.filter((file) => file.includes(only))}))
}

async function runGroup(group: Group, counts: Counts): Promise<void> {
  if (group.files.length === 0) return
  console.log(`\n== ${group.name}: ${group.files.length} files`)
  const stream = run({
    files: [...group.files],
    concurrency: group.concurrency,
    execArgv: ['--import', join(root, 'test/register-tsx.mjs')],
  })
  stream.on('test:pass', ({details, skip}) => {
    if (details.type === 'suite') return
    if (skip === undefined) counts.passed += 1
    else counts.skipped += 1
  })
  stream.on('test:fail', ({details}) => {
    if (details.type !== 'suite') counts.failed += 1
  })
  for await (const chunk of stream.compose(spec)) process.stdout.write(chunk)
}

async function compareMachine(before: ReturnType<typeof machineState>): Promise<string[]> {
  let found = leftovers(before, machineState())
  for (let waited = 0; found.length > 0 && waited < SETTLE_MS; waited += SETTLE_STEP_MS) {
    await sleep(SETTLE_STEP_MS)
    found = leftovers(before, machineState())
  }
  return found
}

/** Tests say for themselves when a program shall believe that it runs in CI; the machine's word must not change them. */
delete process.env['CI']
/** The test run has a short version of every long run. */
const SOAK_SECONDS = 600
if (process.argv[2] === 'soak') process.env['KMESH_SOAK_SECONDS'] ??= String(SOAK_SECONDS)
const [mode = 'all', only] = process.argv.slice(2)
const counts: Counts = {passed: 0, failed: 0, skipped: 0}
const before = machineState()
if (mode === 'all') counts.failed += runChecks()
for (const group of groups(mode, only)) await runGroup(group, counts)
const found = await compareMachine(before)
for (const line of found) console.log(`left behind: ${line}`)
if (found.length > 0) counts.failed += 1
else counts.passed += 1
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = counts.failed === 0 ? 0 : 1
