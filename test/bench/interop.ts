// SPDX-License-Identifier: Apache-2.0
/** Interop of a cluster with 100,000 pods and 5,000 services: the built program against an API in a process of its own. */
import {fork, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {NAMESPACES, PODS, SERVICES} from './interop-figures.ts'

const LAUNCHER = join(import.meta.dirname, '../../bin/kmeshctl')
/** Tells the highest resident set of its process on descriptor 3, in MB, and its CPU seconds. */
const USAGE_HOOK = `process.on('exit',()=>{const u=process.resourceUsage();require('fs').writeSync(3,JSON.stringify([u.maxRSS/1024,(u.userCPUTime+u.systemCPUTime)/1e6]))})`

interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly budget: number
}

interface Run {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly megabytes: number
  readonly code: number
  readonly lines: number
  readonly stderr: string
}

const COMMANDS: readonly {readonly words: string; readonly lines: number; readonly code: number}[] = [
  {words: 'interop status -A', lines: PODS + NAMESPACES + 1, code: 0},
  {words: 'interop status -A --by service', lines: SERVICES + 1, code: 0},
  {words: 'interop status -A --by cluster', lines: 2, code: 0},
  {words: 'interop check --namespace team-1', lines: 0, code: 3},
  {words: 'interop check -A', lines: 0, code: 3},
  {words: 'interop status -A -o json', lines: PODS, code: 0},
]

/** Those that are also asked of an API in JSON, as what stands in front of an API server may make it. */
const IN_JSON = COMMANDS.filter(({words}) =>
  ['interop status -A', 'interop check --namespace team-1'].includes(words),
)

/** Rows of the interop budget. About a minute. */
export async function rows(): Promise<Row[]> {
  return [...(await rowsWith([], COMMANDS)), ...(await rowsWith(['--json'], IN_JSON))]
}

/** @param options - of the API */
async function rowsWith(options: readonly string[], commands: typeof COMMANDS): Promise<Row[]> {
  const api = fork(join(import.meta.dirname, 'interop-cluster.ts'), options)
  try {
    const [server] = (await once(api, 'message')) as [string]
    const rows: Row[] = []
    for (const command of commands) {
      const name = [command.words, ...options].join(', API with ')
      rows.push(...rowsOf(name, command, await run(server, command.words)))
    }
    return rows
  } finally {
    if (api.connected) api.disconnect()
  }
}

function rowsOf(what: string, {lines, code}: (typeof COMMANDS)[number], found: Run): Row[] {
  if (found.code !== code) throw new Error(`${what}: exit ${found.code}\n${found.stderr}`)
  const name = `${PODS} pods: ${what}`
  return [
    {name, value: found.seconds, unit: 's', budget: 5},
    {name: `${name}, CPU`, value: found.cpuSeconds, unit: 's', budget: 6},
    {name: `${name}, memory`, value: found.megabytes, unit: 'MB', budget: 300},
    {name: `${name}, lines that lack`, value: Math.max(0, lines - found.lines), unit: 'lines', budget: 0},
  ]
}

async function run(server: string, words: string): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'kmt-interop-'))
  const hook = join(folder, 'usage.cjs')
  writeFileSync(hook, USAGE_HOOK)
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, kubeconfigOf(server))
  const startMs = performance.now()
  const child = spawn(
    LAUNCHER,
    [...words.split(' '), '--kubeconfig', kubeconfig, '--insecure-skip-tls-verify'],
    {
      env: {
        PATH: process.env['PATH'],
        HOME: folder,
        XDG_CACHE_HOME: folder,
        NODE_OPTIONS: `--require ${hook}`,
      },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    },
  )
  let [usage, stderr, lines] = ['', '', 0]
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    usage += chunk
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk
  })
  child.stdout?.on('data', (chunk: Buffer) => {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines += 1
  })
  const [code] = (await once(child, 'close')) as [number]
  const seconds = (performance.now() - startMs) / 1000
  rmSync(folder, {recursive: true})
  const [megabytes = 0, cpuSeconds = 0] = JSON.parse(usage || '[]') as number[]
  return {seconds, cpuSeconds, megabytes, code, lines, stderr}
}

function kubeconfigOf(server: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'c',
    contexts: [{name: 'c', context: {cluster: 'c', user: 'u'}}],
    clusters: [{name: 'c', cluster: {server}}],
    users: [{name: 'u', user: {token: 'x'}}],
  })
}
