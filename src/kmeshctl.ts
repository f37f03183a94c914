// SPDX-License-Identifier: Apache-2.0
/**
 * Entry of kmeshctl. `--version` and the root help are answered before anything
 * is loaded; everything else goes to lib/cli/run.
 */
import {existsSync, lstatSync, mkdirSync, readFileSync} from 'node:fs'
import {enableCompileCache} from 'node:module'
import {join} from 'node:path'

const root = join(import.meta.dirname, '..')
const argv = process.argv.slice(2)

/** The text of `--version` and of help that was rendered when this was built; undefined for every other command line. */
function quickAnswer(): string | undefined {
  if (argv.length > 1) return commandHelp()
  const word = argv[0]
  if (word === '--version') return `kmeshctl ${packageVersion()}\n`
  const help = join(import.meta.dirname, 'help.txt')
  const asksHelp = word === undefined || word === '--help' || word === '-h'
  return asksHelp && existsSync(help) ? readFileSync(help, 'utf8') : undefined
}

/** `log set-level --help`: words that name a command, then only the flag. */
function commandHelp(): string | undefined {
  const words = argv.slice(0, -1)
  const asksHelp = argv.at(-1) === '--help' || argv.at(-1) === '-h'
  if (!asksHelp || !words.every((word) => /^[a-z][a-z-]*$/.test(word))) return undefined
  const help = join(import.meta.dirname, 'help', `${words.join('-')}.txt`)
  return existsSync(help) ? readFileSync(help, 'utf8') : undefined
}

function packageVersion(): string {
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {version: string}).version
}

/** Compiled code is kept where only this user can write: nobody else's code is run from there. No place, no cache. */
function keepCompiledCode(): void {
  const base = process.env['XDG_CACHE_HOME'] || (process.env['HOME'] && join(process.env['HOME'], '.cache'))
  if (!base || process.env['NODE_DISABLE_COMPILE_CACHE']) return
  const home = join(base, 'kmeshctl')
  const folder = join(home, 'compile')
  try {
    // Level by level: a recursive mkdir never returns below /proc.
    for (const level of [base, home, folder]) makeFolder(level)
    const {uid, mode} = lstatSync(folder)
    if (uid === process.getuid?.() && (mode & 0o077) === 0) enableCompileCache(folder)
  } catch {
    // A read-only or missing home only costs time.
  }
}

function makeFolder(path: string): void {
  if (!existsSync(path)) mkdirSync(path, {mode: 0o700})
}

async function main(): Promise<void> {
  const quick = quickAnswer()
  if (quick !== undefined) {
    process.stdout.on('error', () => undefined)
    process.stdout.write(quick)
    return
  }
  keepCompiledCode()
  if (argv[0] === '__complete') {
    const {complete} = await import('./lib/cli/completion.ts')
    await complete(argv.slice(1), root)
    process.exit(0)
  }
  if (argv[0] === '__complete_values') {
    const {printLiveValues} = await import('./completion-values.ts')
    await printLiveValues()
    process.exit(process.exitCode ?? 0)
  }
  const {runCli} = await import('./lib/cli/run.ts')
  await runCli(argv, root)
  // Whatever is still open (a socket, a timer) must not keep a finished command alive.
  process.exit(process.exitCode ?? 0)
}

await main()
