// SPDX-License-Identifier: Apache-2.0
/** Runs of iptables' save and restore programs, several in one process tree: the CNI plugin's pod waits for them. */
import {randomUUID} from 'node:crypto'
import {CommandError, KmeshError} from '../errors.ts'
import type {Place} from '../model/iptables-rules.ts'
import type {Commands} from '../ports.ts'
import {toolPath} from './commands.ts'

/** One program: `iptables-nft-save` with its arguments, and what it reads. */
export interface IptablesRun extends Place {
  readonly program: 'save' | 'restore'
  /** Words without blanks. */
  readonly args: readonly string[]
  readonly input?: string
}

export interface IptablesResult {
  readonly exitCode: number
  /** What a save printed; of a restore, or of a save that failed, why it failed. */
  readonly text: string
}

export interface IptablesRunner {
  /** In order, up to the first that fails: its result is the last. */
  run(namespacePath: string, runs: readonly IptablesRun[]): Promise<readonly IptablesResult[]>
}

// Warnings go to stderr beside a good table: only a restore's are of use. The mark tells where a program's output ends.
const SCRIPT = `mark=$1; shift
while [ $# -gt 0 ]; do
  case $2 in
    restore) "$1" $3 2>&1 <<END
$4
END
    ;;
    *) "$1" $3 </dev/null ;;
  esac
  code=$?
  echo "$mark $code"
  [ $code -eq 0 ] || exit 0
  shift 4
done`

export interface IptablesRunnerOptions {
  /** Lock of the legacy backend; default is its programs' own, /run/xtables.lock. */
  readonly lockFile: string | undefined
  /** How long a restore may wait for the lock. */
  readonly lockWaitSeconds: number
}

export function createIptablesRunner(commands: Commands, options: IptablesRunnerOptions): IptablesRunner {
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    LC_ALL: 'C',
    ...(options.lockFile === undefined ? {} : {XTABLES_LOCKFILE: options.lockFile}),
  }
  return {
    async run(namespacePath, runs) {
      if (runs.length === 0) return []
      const mark = randomUUID()
      const steps = runs.flatMap((run) => [
        toolPath(programOf(run)),
        run.program,
        run.args.join(' '),
        run.input ?? '',
      ])
      const timeoutMs = 10_000 + runs.length * options.lockWaitSeconds * 1000
      const request = {
        file: '/bin/sh',
        args: ['-c', SCRIPT, 'sh', mark, ...steps],
        namespacePath,
        env,
        timeoutMs,
      }
      try {
        return resultsIn(await commands.run(request), mark)
      } catch (thrown) {
        if (!(thrown instanceof CommandError)) throw thrown
        throw new CommandError(`iptables in ${namespacePath}: ${reasonIn(thrown.message)}`, '', {
          cause: thrown,
        })
      }
    },
  }
}

/** `ip6tables-legacy-restore` and the like. */
function programOf({backend, family, program}: IptablesRun): string {
  return `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${backend}-${program}`
}

function resultsIn(output: string, mark: string): IptablesResult[] {
  const parts = output.split(new RegExp(`^${mark} (\\d+)\\n`, 'm'))
  // Text, code, text, code, and what follows the last code: nothing, unless the output was cut.
  if (parts.length === 1 || parts.at(-1) !== '')
    throw new KmeshError('the rules of iptables are too many to look at', {code: 'TooLarge'})
  const results: IptablesResult[] = []
  for (let at = 0; at + 1 < parts.length; at += 2)
    results.push({text: parts[at] ?? '', exitCode: Number(parts[at + 1])})
  return results
}

/** Without the script that the message begins with. */
function reasonIn(message: string): string {
  const start = message.lastIndexOf(': exit status ')
  return start === -1 ? message.slice(-300) : message.slice(start + 2)
}

const LOCKED = /holding the xtables lock/

/** @throws CommandError for the first that failed; KmeshError `IptablesLocked` */
export function requireGood(
  namespacePath: string,
  runs: readonly IptablesRun[],
  results: readonly IptablesResult[],
): void {
  const index = results.findIndex((result) => result.exitCode !== 0)
  const run = index === -1 ? runs[results.length] : runs[index]
  if (run === undefined) return
  const {exitCode, text} = results[index] ?? {exitCode: 'none', text: ''}
  const what = `${programOf(run)} in ${namespacePath}`
  if (LOCKED.test(text))
    throw new KmeshError(`${what}: another program holds the lock of iptables`, {
      code: 'IptablesLocked',
      hints: ['find it with: fuser -v /run/xtables.lock'],
    })
  throw new CommandError(`${what}: exit status ${exitCode}: ${text.trim() || 'no message'}`, '')
}
