// SPDX-License-Identifier: Apache-2.0
/** Runs the built kmeshctl as a process of its own, the way users do. */
import {spawn} from 'node:child_process'
import {join} from 'node:path'

/** KMESHCTL_TEST_ENTRY: a build in another place. */
export const CLI_ENTRY =
  process.env['KMESHCTL_TEST_ENTRY'] ?? join(import.meta.dirname, '../../dist/kmeshctl.js')

export interface CliResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly elapsedMs: number
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly input?: string
  /** Called with the process once it runs. */
  readonly onSpawn?: (child: import('node:child_process').ChildProcess) => void
}

/** No kubeconfig and no home of the machine leak in, unless `env` says so. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const startMs = performance.now()
  const child = spawn(process.execPath, [CLI_ENTRY, ...args], {
    env: {PATH: process.env['PATH'], HOME: '/nonexistent', NODE_DISABLE_COMPILE_CACHE: '1', ...options.env},
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  options.onSpawn?.(child)
  child.stdin.on('error', () => undefined).end(options.input ?? '')
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      resolve({code, signal, stdout, stderr, elapsedMs: performance.now() - startMs})
    })
  })
}
