// SPDX-License-Identifier: Apache-2.0
/** One daemon with a map of 100,000 entries: read, decoded and printed by the built program, in every format. */
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import type {ServerResponse} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {goJson} from '../fakes/go-daemon/dumps.ts'
import {type FleetDialect, startFleetDaemon} from './fleet-daemons.ts'

const LAUNCHER = join(import.meta.dirname, '../../bin/kmeshctl')
const ENTRIES = 100_000
const FORMATS = ['jsonl', 'json', 'yaml', 'table'] as const
/** Tells the highest resident set of its process on descriptor 3, in MB, and its CPU seconds. */
const USAGE_HOOK = `process.on('exit',()=>{const u=process.resourceUsage();require('fs').writeSync(3,JSON.stringify([u.maxRSS/1024,(u.userCPUTime+u.systemCPUTime)/1e6]))})`

interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly budget: number
}

/** Rows of the printing budget. About half a minute. */
export async function rows(): Promise<Row[]> {
  const rows: Row[] = []
  for (const dialect of ['own', 'v1.2.0'] as const) {
    const text = dialect === 'own' ? ownMap() : goMap()
    const daemon = await startFleetDaemon(dialect, (response: ServerResponse) => void response.end(text))
    try {
      for (const format of FORMATS) rows.push(...(await print(daemon.url, dialect, format)))
    } finally {
      await daemon.close()
    }
  }
  return rows
}

async function print(url: string, dialect: FleetDialect, format: string): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'kmt-print-'))
  const hook = join(folder, 'usage.cjs')
  writeFileSync(hook, USAGE_HOOK)
  const startMs = performance.now()
  const child = spawn(LAUNCHER, ['dump', 'maps', 'km_frontend', '-o', format, '--daemon-url', url], {
    env: {PATH: process.env['PATH'], XDG_CACHE_HOME: folder, NODE_OPTIONS: `--require ${hook}`},
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
  })
  let usage = ''
  let printed = 0
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    usage += chunk
  })
  child.stdout?.on('data', (chunk: Buffer) => {
    printed += chunk.length
  })
  const [code] = await once(child, 'close')
  const seconds = (performance.now() - startMs) / 1000
  rmSync(folder, {recursive: true})
  if (code !== 0 || printed < ENTRIES * 20)
    throw new Error(`${format} of ${dialect}: exit ${code}, ${printed} bytes`)
  const [megabytes = 0, cpuSeconds = 0] = JSON.parse(usage) as number[]
  const name = `100,000 entries of a daemon (${dialect}) as ${format}`
  return [
    {name, value: seconds, unit: 's', budget: 2},
    {name: `${name}, CPU`, value: cpuSeconds, unit: 's', budget: 2.5},
    {name: `${name}, memory`, value: megabytes, unit: 'MB', budget: 150},
  ]
}

function ownMap(): string {
  const lines = Array.from({length: ENTRIES}, (_empty, at) => {
    // As a hash map has them: in no order.
    const index = (at * 7919) % ENTRIES
    const address = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`
    const id = 2_000_000_000 + index
    return JSON.stringify({
      key: {address},
      value: {upstreamId: id},
      keyHex: `0a${(index & 0xffffff).toString(16).padStart(6, '0')}${'00'.repeat(12)}`,
      valueHex: id.toString(16).padStart(8, '0'),
      names: {[id]: `cluster//Pod/shop/cart-${index}`},
    })
  })
  return `${lines.join('\n')}\n${JSON.stringify({end: true, entries: ENTRIES})}\n`
}

function goMap(): string {
  const frontends = Array.from({length: ENTRIES}, (_empty, index) => ({
    upstreamId: `Kubernetes//Pod/shop/cart-${index}`,
  }))
  return goJson({workloadPolicies: [], backends: [], endpoints: [], frontends, services: []})
}
