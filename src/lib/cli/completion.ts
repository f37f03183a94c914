// SPDX-License-Identifier: Apache-2.0
/**
 * `kmeshctl __complete SHELL -- WORD...`: what may stand in place of the last word. Runs without oclif. Live
 * values come from a process of its own, without a terminal, which is ended when the time is up.
 */
import {spawn} from 'node:child_process'
import {readFileSync, statSync} from 'node:fs'
import {delimiter, join} from 'node:path'
import {type CompletionPlan, planCompletion} from '../model/completion.ts'
import {LIVE_KINDS, SOURCE_FLAGS, safeNames} from '../model/completion-kinds.ts'
import type {ManifestCommands} from '../model/completion-line.ts'
import {type Asker, renderCompletion, SHELLS} from '../render/completion.ts'
import {CompletionCache} from './completion-cache.ts'

/** From the start of this process; with the launcher and the shell it stays within a second. */
const LIMIT_MS = 700
/** A cluster that did not answer is left alone for so long. */
const FAILURE_KEPT_MS = 3000
const MAX_ANSWER_BYTES = 4 * 1024 * 1024

/** What the process that asks is told, as JSON on its stdin. */
export interface LiveRequest {
  readonly live: NonNullable<CompletionPlan['live']>
  readonly settings: CompletionPlan['settings']
}

/** @param root - folder of package.json and oclif.manifest.json. Never throws; prints at least `:4`. */
export async function complete(argv: readonly string[], root: string): Promise<void> {
  let text = ':4\n'
  try {
    text = await answer(argv, root)
  } catch {
    // Nothing of this belongs on the user's line.
  }
  await new Promise<void>((resolve) => {
    process.stdout.on('error', () => resolve())
    process.stdout.write(text, () => resolve())
  })
}

async function answer(argv: readonly string[], root: string): Promise<string> {
  const [asker, separator, ...words] = argv
  if (![...SHELLS, 'kubectl'].includes(asker ?? '') || separator !== '--') return ':4\n'
  const {commands} = readJson(join(root, 'oclif.manifest.json')) as {commands: ManifestCommands}
  const {oclif} = readJson(join(root, 'package.json')) as {oclif: {topics: Record<string, object>}}
  const plan = planCompletion({
    commands,
    topics: oclif.topics,
    words: words.length === 0 ? [''] : words,
    env: process.env,
    raw: asker !== 'kubectl',
  })
  return renderCompletion(plan, await liveValues(plan), asker as Asker)
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'))
}

async function liveValues({live, settings: all}: CompletionPlan): Promise<readonly string[]> {
  if (live === undefined) return []
  const settings = Object.fromEntries(Object.entries(all).filter(([name]) => SOURCE_FLAGS.has(name)))
  const {keepMs, fallback} = LIVE_KINDS[live]
  const cache = new CompletionCache(process.env)
  const key = JSON.stringify([live, settings, surroundings(settings)])
  const nowMs = Date.now()
  const kept = cache.read(key, nowMs)
  if (kept !== undefined && nowMs - kept.atMs < (kept.values === null ? FAILURE_KEPT_MS : keepMs)) {
    return kept.values === null ? fallback : safeNames(kept.values)
  }
  const names = await ask({live, settings})
  cache.write(key, {atMs: Date.now(), values: names ?? null}, process.pid)
  return names ?? fallback
}

/** What an answer depends on besides the flags. */
function surroundings(settings: CompletionPlan['settings']): unknown[] {
  const {KUBECONFIG, HOME, KMESHCTL_TOKEN, XDG_STATE_HOME} = process.env
  const typed = settings['kubeconfig']?.at(-1)
  const listed = KUBECONFIG ? KUBECONFIG.split(delimiter) : [join(HOME ?? '/', '.kube', 'config')]
  const files = typed === undefined ? listed : [typed]
  return [process.cwd(), files, files.map(stamp), KMESHCTL_TOKEN ?? null, XDG_STATE_HOME ?? null]
}

function stamp(file: string): string {
  const stats = statSync(file, {throwIfNoEntry: false})
  return stats === undefined ? '' : `${stats.ino}:${stats.size}:${stats.mtimeMs}`
}

/** For a cluster that needs longer. `0` and what is no number mean the limit that is built in. */
function limitMs(): number {
  return Number(process.env['KMESHCTL_COMPLETION_TIMEOUT_MS']) || LIMIT_MS
}

/** Undefined where nobody answered in time. */
function ask(request: LiveRequest): Promise<string[] | undefined> {
  const child = spawn(process.execPath, [process.argv[1] ?? '', '__complete_values'], {
    // A session of its own: nobody in it can ask anything on the terminal, and all of it can be ended.
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  return new Promise((resolve) => {
    let text = ''
    const finish = (names: string[] | undefined): void => {
      clearTimeout(timer)
      endGroup(child.pid)
      resolve(names)
    }
    const timer = setTimeout(() => finish(undefined), Math.max(0, limitMs() - performance.now()))
    child.once('error', () => finish(undefined))
    child.once('close', () => finish(namesOf(text)))
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.length > MAX_ANSWER_BYTES) finish(undefined)
    })
    child.stdin.on('error', () => undefined).end(JSON.stringify(request))
  })
}

function namesOf(text: string): string[] | undefined {
  try {
    const names: unknown = JSON.parse(text)
    return Array.isArray(names) ? safeNames(names) : undefined
  } catch {
    return undefined
  }
}

/** Also credential programs that it started. */
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}
