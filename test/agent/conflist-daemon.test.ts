// SPDX-License-Identifier: Apache-2.0
// Goal: the real kmesh-daemon installs a plugin that runs without any environment, follows the real folder, and takes
// its entry out on SIGTERM and after a kill; `--cni off` touches nothing.
// Method: spawned processes with the maps in memory, a temporary folder for each path, a small API over HTTP.
import assert from 'node:assert/strict'
import {type ChildProcess, execFileSync, spawn} from 'node:child_process'
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {CONFLISTS} from '../cni/conflist-samples.ts'
import {ask} from './agent-fixture.ts'
import {namespace} from './fakes.ts'
import {HttpApi} from './http-api.ts'

const root = join(import.meta.dirname, '../..')
const CALICO = CONFLISTS['10-calico.conflist'] ?? ''
const CILIUM = CONFLISTS['05-cilium.conflist'] ?? ''
const folder = mkdtempSync(join(tmpdir(), 'kmt-cni-'))
const api = new HttpApi()
const children: ChildProcess[] = []
const port = 20_000 + (process.pid % 20_000)

before(async () => {
  for (const name of ['etc', 'bin']) mkdirSync(join(folder, name))
  await api.start(join(folder, 'kubeconfig'))
  api.put('namespaces', namespace('shop', 'kmesh'))
})

after(() => {
  for (const child of children) child.kill('SIGKILL')
  api.stop()
  rmSync(folder, {recursive: true})
})

function daemon(...more: string[]): ChildProcess {
  const flags = [
    '--backend=memory',
    '--node-name=n1',
    `--kubeconfig=${folder}/kubeconfig`,
    `--state-dir=${folder}/state`,
    `--run-dir=${folder}/run`,
    `--cni-etc-path=${folder}/etc`,
    `--cni-bin-path=${folder}/bin`,
    `--admin-address=127.0.0.1:${port}`,
    '--status-address=off',
  ]
  const child = spawn(join(root, 'bin/with-node'), ['src/lib/agent/main.ts', ...flags, ...more], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  child.stdout?.on('data', (chunk) => (output += chunk))
  return child
}

let output = ''

function end(child: ChildProcess, signal?: NodeJS.Signals): Promise<number | null> {
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  if (signal !== undefined) child.kill(signal)
  return ended
}

const text = (name: string): string => readFileSync(join(folder, 'etc', name), 'utf8')
const isIn = (name: string): boolean => text(name).includes('"kmesh-cni"')

async function until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (await Promise.resolve(check()).catch(() => false)) return
    await sleep(100)
  }
  assert.fail(`not within 30 s: ${what}\n${output}`)
}

/** False and empty where there is no such check. */
async function cniCheck(): Promise<{ok: boolean; message: string}> {
  const {checks} = JSON.parse((await ask(port, 'GET', '/debug/ready')).body) as {
    checks: {name: string; ok: boolean; message: string}[]
  }
  return checks.find(({name}) => name === 'cni') ?? {ok: false, message: ''}
}

/** The plugin as a runtime calls it, with nothing but what CNI says. */
function callPlugin(command: string): {supportedVersions?: string[]} {
  const options = {env: {CNI_COMMAND: command}, input: '{"cniVersion":"1.0.0"}'}
  return JSON.parse(execFileSync(join(folder, 'bin/kmesh-cni'), options).toString())
}

test('install, rewrite, another file, kill, adopt, SIGTERM, uninstall', {timeout: 180_000}, async () => {
  const first = daemon()
  await until(
    'it waits',
    async () => (await cniCheck()).message === `waiting for a conflist in ${folder}/etc`,
  )
  writeFileSync(join(folder, 'etc/10-calico.conflist'), CALICO)
  await until('the entry is in', () => isIn('10-calico.conflist'))
  await until('it is ready', async () => (await cniCheck()).ok)
  assert.equal((await cniCheck()).message, `the entry is in ${folder}/etc/10-calico.conflist`)
  assert.ok(callPlugin('VERSION').supportedVersions?.includes('1.0.0'))

  writeFileSync(join(folder, 'etc/10-calico.conflist'), CALICO)
  await until('it is put back', () => isIn('10-calico.conflist'))
  writeFileSync(join(folder, 'etc/05-cilium.conflist'), CILIUM)
  await until('it has moved', () => isIn('05-cilium.conflist') && text('10-calico.conflist') === CALICO)

  await end(first, 'SIGKILL')
  assert.ok(isIn('05-cilium.conflist'))
  rmSync(join(folder, 'etc/05-cilium.conflist'))
  const second = daemon()
  await until('the next one takes the other file', () => isIn('10-calico.conflist'))
  assert.equal(await end(second, 'SIGTERM'), 0)
  assert.equal(text('10-calico.conflist'), CALICO)

  const third = daemon()
  await until('the entry is in', () => isIn('10-calico.conflist'))
  await end(third, 'SIGKILL')
  assert.equal(await end(daemon('uninstall')), 0, output)
  assert.equal(text('10-calico.conflist'), CALICO)
  assert.deepEqual(readdirSync(join(folder, 'etc')), ['10-calico.conflist'])
  assert.deepEqual(readdirSync(join(folder, 'bin')), [])
  assert.deepEqual(readdirSync(join(folder, 'state')), [])
  assert.deepEqual(readdirSync(folder).sort(), ['bin', 'etc', 'kubeconfig', 'state'])
})

test('--cni off touches nothing', {timeout: 60_000}, async () => {
  const child = daemon('--cni=off')
  const from = output.length
  await until('the agent runs', () => output.includes('every list is complete', from))
  assert.deepEqual(await cniCheck(), {ok: false, message: ''})
  assert.equal(await end(child, 'SIGTERM'), 0)
  assert.equal(await end(daemon('uninstall', '--cni=off')), 0)
  assert.deepEqual(readdirSync(join(folder, 'bin')), [])
  assert.deepEqual(readdirSync(folder).sort(), ['bin', 'etc', 'kubeconfig', 'state'])
})
