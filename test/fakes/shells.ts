// SPDX-License-Identifier: Apache-2.0
/** Real shells with the completion of the built kmeshctl: keys go in on a terminal, the edited line comes back. */
import {execFile, spawn, spawnSync} from 'node:child_process'
import {chmodSync, mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {promisify} from 'node:util'

const ENTRY = process.env['KMESHCTL_TEST_ENTRY'] ?? join(import.meta.dirname, '../../dist/kmeshctl.js')
const TIMEOUT_MS = 120_000
/** Prints the line, then empties it. */
const SHOW = '\u0007'
const CLEAR = '\u0015'

export type Env = Readonly<Record<string, string | undefined>>

/** False, or why a test of this shell cannot run; where the kernel is required, shells are too. */
export function shellMissing(shell: string): string | false {
  const isThere = spawnSync(shell, ['-c', 'true']).status === 0
  if (isThere || process.env['KMESH_REQUIRE_KERNEL'] === '1') return false
  return `there is no ${shell} on this machine`
}

/** A folder for PATH with the built kmeshctl in it. */
export function programFolder(parent: string): string {
  const folder = join(parent, 'path')
  const program = join(folder, 'kmeshctl')
  mkdirSync(folder)
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${ENTRY}' "$@"\n`)
  chmodSync(program, 0o755)
  return folder
}

const SETUP = {
  bash: `PS1='> '
bind 'set enable-bracketed-paste off'
bind -x '"\\C-g": printf "\\n@@<%s>@@\\n" "$READLINE_LINE"'
source <(kmeshctl completion bash)
echo READY
`,
  zsh: `PS1='> '
unsetopt PROMPT_SP
source <(kmeshctl completion zsh)
show() { print -r -- "@@<$BUFFER>@@"; BUFFER= }
zle -N show
bindkey '^G' show
zle -C all-matches complete-word _generic
zstyle ':completion:all-matches:*' old-matches only
zstyle ':completion:all-matches::::' completer _all_matches
bindkey '^T' all-matches
echo READY
`,
} as const

/** Keys behind a typed line: complete it, or put in every candidate. */
export const KEYS = {
  bash: {complete: '\t', all: '\u001b*'},
  zsh: {complete: '\t', all: '\t\u0014'},
} as const

export interface Session {
  /** What the line was after each of the key sequences. */
  readonly lines: readonly string[]
  /** All that came to the screen. */
  readonly screen: string
}

/** Types each key sequence into an interactive shell. */
export async function typeInto(
  shell: 'bash' | 'zsh',
  folder: string,
  env: Env,
  sequences: readonly string[],
): Promise<Session> {
  const setup = join(folder, `setup.${shell}`)
  writeFileSync(setup, SETUP[shell])
  const command = shell === 'bash' ? 'bash --norc --noprofile -i' : 'zsh -f -i'
  const child = spawn('script', ['-qfec', command, '/dev/null'], {
    cwd: folder,
    env: {...env, TERM: 'xterm'},
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  let screen = ''
  let next = 0
  const shown = () => [...screen.matchAll(/@@<(kmeshctl[\s\S]*?)>@@/g)].map((match) => match[1] ?? '')
  // A shell edits lines only once its prompt stands; what comes before is the terminal's, whose ^U throws it away.
  const prompts = (): boolean => {
    const last = Math.max(screen.lastIndexOf('READY'), shell === 'bash' ? screen.lastIndexOf('>@@') + 3 : 0)
    return screen.includes('READY') && screen.slice(last).includes('> ')
  }
  // The next keys are typed when the shell is done with the last ones, as a person would.
  const step = (): void => {
    if (!prompts() || shown().length < next) return
    const sequence = sequences[next]
    child.stdin.write(sequence === undefined ? 'exit\n' : `${sequence}${SHOW}${CLEAR}`)
    next += 1
  }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text
    step()
  })
  child.stdin.on('error', () => undefined).write(`source '${setup}'\n`)
  await new Promise((resolve) => child.once('close', resolve))
  clearTimeout(timer)
  return {lines: shown(), screen}
}

/** Candidates of fish for each line, without descriptions. */
export async function askFish(folder: string, env: Env, lines: readonly string[]): Promise<string[][]> {
  const quoted = lines.map((line) => `'${line.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`)
  const code = `kmeshctl completion fish | source; for line in ${quoted.join(' ')}; complete -C $line; echo @@; end`
  const {stdout} = await promisify(execFile)('fish', ['--no-config', '-c', code], {
    cwd: folder,
    env: {...env},
    timeout: TIMEOUT_MS,
  })
  return stdout
    .split('@@\n')
    .slice(0, -1)
    .map((block) =>
      block
        .split('\n')
        .filter(Boolean)
        .map((line) => line.replace(/\t.*/, '')),
    )
}
