// SPDX-License-Identifier: Apache-2.0
// Goal: a level for a time on a daemon that cannot end it is put back at the end and on every signal, by compare and
// set; what a kill leaves behind is told with the command that reverts it.
// Method: the built program against Go daemons on real sockets, ended by real signals once the level is set.
import assert from 'node:assert/strict'
import {mkdtempSync, readdirSync, readFileSync, rmSync, statSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {type CliResult, runCli} from '../fakes/cli.ts'
import type {GoVersion} from '../fakes/go-daemon/dialects.ts'
import {type GoDaemon, startDaemon} from '../fakes/go-daemon/server.ts'

let home: string
const started: GoDaemon[] = []
before(() => {
  home = mkdtempSync(join(tmpdir(), 'kmt-lease-'))
})
after(async () => {
  for (const daemon of started) await daemon.close()
  rmSync(home, {recursive: true})
})

async function daemon(version: GoVersion = 'v1.2.0'): Promise<GoDaemon> {
  const one = await startDaemon({version, mode: 'dual-engine'})
  started.push(one)
  return one
}

const leases = (): string[] => readdirSync(join(home, 'kmeshctl', 'leases'))
const cli = (...words: readonly string[]): Promise<CliResult> => runCli(words, {env: {XDG_STATE_HOME: home}})

/** Runs `set-level ... --for 1h` and calls `act` once kmeshctl says that it stays. */
function hold(target: GoDaemon, act: (kill: (signal: NodeJS.Signals) => void) => void, ...more: string[]) {
  const words = ['log', 'set-level', 'bpf=debug', '--for', '1h', '--daemon-url', target.url, ...more]
  return runCli(words, {
    env: {XDG_STATE_HOME: home},
    onSpawn: (child) => {
      let said = ''
      child.stderr?.on('data', (chunk: string) => {
        if (said.includes('kmeshctl stays')) return
        said += chunk
        if (said.includes('kmeshctl stays')) act((signal) => child.kill(signal))
      })
    },
  })
}

for (const [signal, exit] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  test(`${signal}: the level is put back, that is said, exit ${exit}, no lease stays`, async () => {
    const target = await daemon()
    const {code, stderr} = await hold(target, (kill) => {
      assert.equal(target.levels.get('bpf'), 'debug')
      const [file = ''] = leases()
      assert.equal(statSync(join(home, 'kmeshctl', 'leases', file)).mode & 0o777, 0o600)
      assert.equal(JSON.parse(readFileSync(join(home, 'kmeshctl', 'leases', file), 'utf8')).revertTo, 'info')
      kill(signal)
    })
    assert.equal(code, exit, stderr)
    assert.match(stderr, /logger 'bpf' is back at info\n/)
    assert.equal(target.levels.get('bpf'), 'info')
    assert.deepEqual(leases(), [])
  })
}

test('a level that somebody else changed meanwhile is left alone, and said', async () => {
  const target = await daemon()
  const {stderr} = await hold(target, (kill) => {
    target.levels.set('bpf', 'error')
    kill('SIGINT')
  })
  assert.match(
    stderr,
    /warning: .* was set to debug here and is error now: left alone.* \(ChangedElsewhere\)/,
  )
  assert.equal(target.levels.get('bpf'), 'error')
})

test('SIGKILL leaves the level and the record; log get tells it, the command it gives reverts, then it is quiet', async () => {
  const target = await daemon()
  await hold(target, (kill) => kill('SIGKILL'))
  assert.equal(target.levels.get('bpf'), 'debug')
  const told = await cli('log', 'get', 'bpf', '--daemon-url', target.url)
  assert.match(
    told.stderr,
    /warning: .*ended before it put info back; kmeshctl log set-level .* \(LeaseLeftBehind\)/,
  )
  const command = / (log set-level \S+ --daemon-url \S+) \(LeaseLeftBehind/.exec(told.stderr)?.[1] ?? ''
  const fixed = await cli(...command.split(' '))
  assert.equal(fixed.code, 0, fixed.stderr)
  assert.equal(target.levels.get('bpf'), 'info')
  assert.deepEqual(leases(), [])
  assert.equal((await cli('log', 'get', 'bpf', '--daemon-url', target.url)).stderr, '')
})

test('a second --for on the same logger is refused while the first one holds it', async () => {
  const target = await daemon()
  let second: Promise<CliResult> | undefined
  await hold(target, (kill) => {
    second = cli('log', 'set-level', 'bpf=warn', '--for', '1h', '--daemon-url', target.url)
    void second.then(() => kill('SIGINT'))
  })
  const {code, stderr} = (await second) ?? {code: null, stderr: 'it was never started'}
  assert.equal(code, 1)
  assert.match(stderr, /another kmeshctl holds logger 'bpf' of this daemon until/)
  assert.equal(target.levels.get('bpf'), 'info')
})

test('v0.4.0 does not tell the level of bpf: refused, unless --revert-to says it; then without comparing', async () => {
  const target = await daemon('v0.4.0')
  const refused = await cli('log', 'set-level', 'bpf=debug', '--for', '1s', '--daemon-url', target.url)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /does not tell the level of logger 'bpf'.*\nhint: --revert-to LEVEL/)
  assert.equal(target.levels.get('bpf'), 'info')
  const {code, stderr} = await hold(target, (kill) => kill('SIGTERM'), '--revert-to', 'error')
  assert.equal(code, 143)
  assert.match(stderr, /logger 'bpf' is back at error without comparing\n/)
  assert.equal(target.levels.get('bpf'), 'error')
})
