// SPDX-License-Identifier: Apache-2.0
// Goal: no configuration and no variable ends the plugin otherwise than by the protocol, and each failure is one line.
// Method: seeded changes of a good call. Thousands go through the whole plugin on fakes, some are executed.
// KMESH_FUZZ_SEED repeats a run.
import assert from 'node:assert/strict'
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, test} from 'node:test'
import type {CniParts} from '../../src/lib/cni/parts.ts'
import type {Outcome} from '../../src/lib/cni/protocol.ts'
import {runCni} from '../../src/lib/cni/run.ts'
import {memoryLog} from '../agent/fakes.ts'
import {fakeClock} from '../fakes/clock.ts'
import {SeededRandom} from '../model/random.ts'
import {execPlugin, PREV_RESULT, podArgs} from './exec-plugin.ts'

const SEED = Number(process.env['KMESH_FUZZ_SEED'] ?? 20_261_122)
const ON_FAKES = 4000
const EXECUTED = 40

const folder = mkdtempSync(join(tmpdir(), 'kmt-cni-fuzz-'))
after(() => rmSync(folder, {recursive: true}))

interface Call {
  readonly env: Record<string, string>
  readonly input: Buffer
}

const COMMANDS = ['ADD', 'ADD', 'ADD', 'CHECK', 'DEL', 'DEL', 'GC', 'STATUS', 'VERSION', 'add', '']
const PIECES = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\\',
  '\\u0000',
  '\0',
  '1e999',
  '-',
  'null',
  '"prevResult":{}',
  '__proto__',
  '\u{1f600}',
]
const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  1e300,
  '',
  'x',
  '/x',
  {},
  [],
  [null],
  {a: {}},
  '\u001b[2J',
  'x'.repeat(5000),
]
const FIELDS = [
  'cniVersion',
  'name',
  'socket',
  'cache',
  'kubeconfig',
  'failurePolicy',
  'timeoutSeconds',
  'logLevel',
  'logMaxBytes',
  'prevResult',
  'cni.dev/valid-attachments',
  '__proto__',
  'constructor',
]

function makeCall(random: SeededRandom): Call {
  const fields: Record<string, unknown> = {
    cniVersion: random.pick(['0.3.1', '0.4.0', '1.0.0', '1.1.0']),
    name: 'n',
    socket: join(folder, 'no.sock'),
    cache: join(folder, 'no.json'),
    timeoutSeconds: 0,
    'cni.dev/valid-attachments': [{containerID: 'c', ifname: 'e'}],
    prevResult: JSON.parse(PREV_RESULT),
  }
  for (let change = random.below(3); change > 0; change -= 1)
    fields[random.pick(FIELDS)] = random.pick(VALUES)
  let input = Buffer.from(JSON.stringify(fields))
  for (let change = random.below(4); change > 0 && random.below(2) === 0; change -= 1) {
    const at = random.below(input.length + 1)
    const put =
      random.below(2) === 0 ? Buffer.from(random.bytes(random.below(8))) : Buffer.from(random.pick(PIECES))
    input = Buffer.concat([input.subarray(0, at), put, input.subarray(at + random.below(12))])
  }
  const env: Record<string, string> = {
    CNI_COMMAND: random.pick(COMMANDS),
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/x',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: podArgs('shop', 'web', 'u1'),
  }
  for (const name of Object.keys(env)) {
    const roll = random.below(12)
    if (roll === 0) delete env[name]
    if (roll === 1) env[name] = textOf(random)
  }
  return {env, input}
}

/** What an environment can hold: no NUL. */
function textOf(random: SeededRandom): string {
  return Array.from(random.bytes(random.below(40)), (byte) => String.fromCharCode(byte || 1)).join('')
}

function check(outcome: Outcome, {env, input}: Call): void {
  const what = `seed ${SEED}: ${JSON.stringify(env)} ${input.toString('latin1')}`
  if (env['CNI_COMMAND'] === 'DEL') assert.deepEqual(outcome, {stdout: '', exitCode: 0}, what)
  else if (outcome.exitCode === 1) {
    const {cniVersion, code, msg} = JSON.parse(outcome.stdout) as Record<string, unknown>
    assert.ok(typeof cniVersion === 'string' && typeof msg === 'string', what)
    assert.ok(
      typeof code === 'number' && [1, 4, 5, 6, 7, 11, 50].includes(code),
      `${what}: ${outcome.stdout}`,
    )
  } else if (outcome.stdout !== '') {
    assert.equal(typeof JSON.parse(outcome.stdout), 'object', what)
    assert.ok(env['CNI_COMMAND'] === 'VERSION' || input.includes(outcome.stdout), what)
  }
}

test(`on fakes, seed ${SEED}`, {timeout: 60_000}, async () => {
  const random = new SeededRandom(SEED)
  const codes = new Set<number>()
  for (let round = 0; round < ON_FAKES; round += 1) {
    const call = makeCall(random)
    const log = memoryLog()
    const away = async (): Promise<never> => {
      throw new Error('away')
    }
    const parts: CniParts = {
      clock: {
        ...fakeClock(),
        sleep: async () => undefined,
        monotonicMs: (
          () => () =>
            performance.now() * 1000
        )(),
      },
      defaultLogFile: undefined,
      openLog: () => log,
      readInput: async () => call.input,
      readFile: () =>
        random.below(2) === 0
          ? undefined
          : random.pick(['{"version":1,"writtenAt":"","namespaces":["shop"],"pods":{}}', '{', '5']),
      openCluster: () => ({pod: away, namespace: away}),
      ask: away,
    }
    const outcome = await runCni(call.env, parts)
    check(outcome, call)
    const said = log.lines.filter((line) => line.startsWith('error'))
    assert.equal(said.length, outcome.exitCode, `seed ${SEED}: ${said.join('\n')}`)
    if (outcome.exitCode === 1) codes.add((JSON.parse(outcome.stdout) as {code: number}).code)
  }
  // The generator reaches every way to fail but a read of stdin.
  assert.deepEqual(
    [...codes].sort((a, b) => a - b),
    [1, 4, 5, 6, 7, 11, 50],
  )
})

test(`executed, seed ${SEED}`, {timeout: 120_000}, async () => {
  const random = new SeededRandom(SEED + 1)
  const logFile = join(folder, 'kmesh-cni.log')
  for (let round = 0; round < EXECUTED; round += 1) {
    const call = makeCall(random)
    const {status, stdout, stderr} = await execPlugin({logFile, ...call})
    assert.equal(stderr, '')
    assert.ok(status === 0 || status === 1)
    check({stdout, exitCode: status}, call)
  }
  for (const line of readFileSync(logFile, 'utf8').trimEnd().split('\n')) assert.ok(JSON.parse(line).time)
})
