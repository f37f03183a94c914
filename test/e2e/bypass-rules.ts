// SPDX-License-Identifier: Apache-2.0
/** Rules of a pod's network namespace as iptables prints them: where ours stands, and everything else byte for byte. */
import assert from 'node:assert/strict'
import {run} from './harness.ts'

export type Backend = 'nft' | 'legacy'

const PROGRAMS = ['iptables-nft', 'ip6tables-nft', 'iptables-legacy', 'ip6tables-legacy'] as const
type Program = (typeof PROGRAMS)[number]

const OURS = /^-A (\S+) -m comment --comment "?kmesh\.net\/bypass"? -j RETURN$/
/** Of Istio's own tables; iptables does not show them. */
const NATIVE = ['ip', 'ip6']

export interface PodRules {
  /** `iptables-nft nat OUTPUT` -> positions of our rule there; chains without it are left out. */
  readonly ours: Readonly<Record<string, readonly number[]>>
  /** Program -> what it prints without our rules, counters and comments. */
  readonly others: Readonly<Record<Program, string>>
  readonly native: string
}

/** Ours as it must stand while these backends hold the sidecar's chains: first, once, in both families. */
export function standingIn(backends: readonly Backend[]): PodRules['ours'] {
  const places = PROGRAMS.filter((program) => backends.some((backend) => program.endsWith(backend)))
  return Object.fromEntries(
    places.flatMap((program) => ['PREROUTING', 'OUTPUT'].map((chain) => [`${program} nat ${chain}`, [1]])),
  )
}

/** Runs a script of sh there, `stdin` given. */
export async function runIn(namespacePath: string, script: string, input = ''): Promise<string> {
  const result = await run('nsenter', [`--net=${namespacePath}`, 'sh', '-ec', script], {input})
  assert.equal(result.code, 0, `${script}: ${result.stderr}`)
  return result.stdout
}

export async function rulesIn(namespacePath: string): Promise<PodRules> {
  // Without -t: a save program of the legacy backend makes the tables that it is asked for.
  const saves = PROGRAMS.map((program) => `echo '== ${program}'; ${program}-save`)
  const tables = NATIVE.map((family) => `nft -s list table ${family} istio-proxy-nat 2>/dev/null || :`)
  const text = await runIn(namespacePath, [...saves, "echo '== native'", ...tables].join('\n'))
  const parts = new Map(
    text
      .split(/^== /m)
      .slice(1)
      .map((part) => {
        const end = part.indexOf('\n')
        return [part.slice(0, end), part.slice(end + 1)] as const
      }),
  )
  const ours: Record<string, number[]> = {}
  const others = PROGRAMS.map((program) => [program, readSaved(program, parts.get(program) ?? '', ours)])
  return {ours, others: Object.fromEntries(others), native: parts.get('native') ?? ''}
}

/** @returns what is not ours */
function readSaved(program: string, text: string, ours: Record<string, number[]>): string {
  const counts = new Map<string, number>()
  let table = ''
  const isOther = (line: string): boolean => {
    if (line.startsWith('*')) table = line.slice(1)
    const chain = /^-A (\S+)/.exec(line)?.[1]
    if (chain === undefined) return line !== '' && !line.startsWith('#')
    const key = `${program} ${table} ${chain}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
    if (!OURS.test(line)) return true
    ours[key] = [...(ours[key] ?? []), counts.get(key) ?? 0]
    return false
  }
  const withoutCounters = (line: string) => line.replace(/^(:.*) \[\d+:\d+\]$/, '$1')
  return text.split('\n').filter(isOther).map(withoutCounters).join('\n')
}
