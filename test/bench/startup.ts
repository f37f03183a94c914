// SPDX-License-Identifier: Apache-2.0
/**
 * Start-up of kmeshctl against `node -e 0` on the same Node, and the CPU of a
 * command that asks one daemon through an API server. Both sides run in turns
 * and medians are compared, so that other load hits both.
 */
import {spawn} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {startFakeApi} from '../fakes/api-server.ts'
import {startOwnDaemon} from '../fakes/daemons.ts'

const ENTRY = process.env['KMESHCTL_TEST_ENTRY'] ?? join(import.meta.dirname, '../../dist/kmeshctl.js')
const ROUNDS = 15
/** Runs that fill the compile cache and the page cache. */
const WARM_UP = 2

/** Tells the CPU time of its process on descriptor 3, all threads together. */
const CPU_HOOK = `process.on('exit',()=>{const{user,system}=process.cpuUsage();require('fs').writeSync(3,String((user+system)/1000))})`

interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly budget: number
}

interface Cost {
  readonly wallMs: number
  readonly cpuMs: number
}

interface Bench {
  readonly hook: string
  readonly env: NodeJS.ProcessEnv
}

/** Rows of the start-up budget. About a minute. */
export async function rows(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'kmt-bench-'))
  const hook = join(folder, 'cpu.cjs')
  writeFileSync(hook, CPU_HOOK)
  const bench = {hook, env: {PATH: process.env['PATH'], XDG_CACHE_HOME: folder}}
  const daemon = await startOwnDaemon()
  const api = await startFakeApi({nodes: [{name: 'n1', daemon: daemon.port}]})
  const one = ['log', 'get', '--node', 'n1', '--kubeconfig', api.kubeconfig]
  try {
    return [
      await row(bench, '--version, wall', ['--version'], 'wallMs', 2),
      await row(bench, 'root --help, wall', ['--help'], 'wallMs', 2),
      await row(bench, 'log set-level --help, wall', ['log', 'set-level', '--help'], 'wallMs', 3.5),
      await row(bench, 'version --client, wall', ['version', '--client'], 'wallMs', 3.5),
      await row(bench, 'log get of one daemon through an API server, CPU', one, 'cpuMs', 9),
    ]
  } finally {
    await api.close()
    await daemon.close()
    rmSync(folder, {recursive: true})
  }
}

async function row(
  bench: Bench,
  name: string,
  args: readonly string[],
  what: keyof Cost,
  budget: number,
): Promise<Row> {
  const bare: number[] = []
  const ours: number[] = []
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    const base = await cost(bench, ['-e', '0'])
    const full = await cost(bench, [ENTRY, ...args])
    if (round < 0) continue
    bare.push(base[what])
    ours.push(full[what])
  }
  return {name: `kmeshctl ${name} / node -e 0`, value: median(ours) / median(bare), unit: 'ratio', budget}
}

function cost({hook, env}: Bench, args: readonly string[]): Promise<Cost> {
  const startMs = performance.now()
  const child = spawn(process.execPath, ['--require', hook, ...args], {
    env,
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  })
  let cpuText = ''
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    cpuText += chunk
  })
  return new Promise((resolve, reject) => {
    let wallMs = 0
    child.once('error', reject)
    child.once('exit', () => {
      wallMs = performance.now() - startMs
    })
    child.once('close', (code) => {
      if (code === 0) resolve({wallMs, cpuMs: Number(cpuText)})
      else reject(new Error(`${args.join(' ')} exited ${code}`))
    })
  })
}

function median(values: number[]): number {
  const sorted = values.sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
