// SPDX-License-Identifier: Apache-2.0
/** A command line that is still being typed: words without quotes, the command, flags, arguments. */

/** What oclif.manifest.json says of a flag, as far as completion looks. */
export interface ManifestFlag {
  readonly name: string
  readonly type: string
  readonly char?: string
  readonly description?: string
  readonly options?: readonly string[]
  readonly multiple?: boolean
  readonly delimiter?: string
  readonly hidden?: boolean
  readonly allowNo?: boolean
  readonly helpValue?: string
  readonly env?: string
  readonly default?: unknown
}

export interface ManifestCommand {
  readonly summary?: string
  readonly description?: string
  readonly hidden?: boolean
  readonly strict?: boolean
  readonly args: Readonly<Record<string, {readonly options?: readonly string[]}>>
  readonly flags: Readonly<Record<string, ManifestFlag>>
}

/** Command ids have `:` between their words. */
export type ManifestCommands = Readonly<Record<string, ManifestCommand>>

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * What a shell would make of a raw word, without running anything: quotes and backslashes are taken off (also
 * an open quote), `~/` and `$NAME` are replaced. Undefined where only the shell could tell: `$(`, a backtick,
 * an unknown variable.
 */
export function plainWord(raw: string, env: Environment): string | undefined {
  let text = ''
  // Single quotes, double quotes, or neither; the last quote may still be open.
  for (const [piece, literal, quoted] of raw.matchAll(
    /'([^']*)'?|"((?:\\[\s\S]|[^"\\])*)"?|(?:\\[\s\S]?|[^'"\\])+/g,
  )) {
    const part = literal ?? expanded(quoted ?? piece, env)
    if (part === undefined) return undefined
    text += part
  }
  const home = env['HOME']
  return home && raw.startsWith('~/') ? `${home}${text.slice(1)}` : text
}

function expanded(text: string, env: Environment): string | undefined {
  let isKnown = true
  const result = text.replace(
    /\\([\s\S]?)|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)|[$`]/g,
    (_piece, escaped?: string, braced?: string, name?: string) => {
      const value = escaped ?? env[braced ?? name ?? '']
      isKnown &&= value !== undefined
      return value ?? ''
    },
  )
  return isKnown ? result : undefined
}

export interface ReadFlags {
  /** By the flag's name, in the order typed; a boolean has `true`. */
  readonly values: ReadonlyMap<string, readonly string[]>
  readonly positionals: readonly string[]
  /** The last word is a flag whose value comes next. */
  readonly pending: ManifestFlag | undefined
  /** `--` was typed. */
  readonly ended: boolean
}

/** Flags and arguments among the complete words behind a command. Unknown flags are passed over. */
export function readFlags(words: readonly string[], command: ManifestCommand): ReadFlags {
  const end = endOfFlags(words, command)
  const values = new Map<string, string[]>()
  const positionals: string[] = []
  let pending: ManifestFlag | undefined
  for (const word of words.slice(0, end)) {
    const {flag, value} = pending === undefined ? flagOf(word, command) : {flag: pending, value: word}
    const isOpen = flag?.type === 'option' && value === undefined
    if (flag !== undefined && !isOpen)
      values.set(flag.name, [...(values.get(flag.name) ?? []), value ?? 'true'])
    if (flag === undefined && !isFlagWord(word)) positionals.push(word)
    pending = isOpen ? flag : undefined
  }
  return {values, positionals: [...positionals, ...words.slice(end + 1)], pending, ended: end < words.length}
}

/** Index of the `--` that is no flag's value, else the number of words. */
function endOfFlags(words: readonly string[], command: ManifestCommand): number {
  let isValue = false
  for (const [index, word] of words.entries()) {
    if (word === '--' && !isValue) return index
    const {flag, value} = flagOf(word, command)
    isValue = !isValue && flag?.type === 'option' && value === undefined
  }
  return words.length
}

function isFlagWord(word: string): boolean {
  return word.startsWith('-') && word !== '-'
}

export interface FlagWord {
  readonly flag: ManifestFlag | undefined
  /** Undefined where the word has no value of its own. */
  readonly value: string | undefined
}

/** `--node=a`, `--node`, `--no-wait`, `-n a`, `-na`, `-n=a`, `-vn a`. */
export function flagOf(word: string, command: ManifestCommand): FlagWord {
  if (word.startsWith('--')) return longFlagOf(word, command)
  return isFlagWord(word) ? shortFlagOf(word.slice(1), command) : {flag: undefined, value: undefined}
}

function longFlagOf(word: string, {flags}: ManifestCommand): FlagWord {
  const separator = word.indexOf('=')
  const name = separator < 0 ? word.slice(2) : word.slice(2, separator)
  const positive = name.replace(/^no-/, '')
  const flag = Object.hasOwn(flags, name) ? flags[name] : undefined
  const negated = Object.hasOwn(flags, positive) && flags[positive]?.allowNo ? flags[positive] : undefined
  return {flag: flag ?? negated, value: separator < 0 ? undefined : word.slice(separator + 1)}
}

function shortFlagOf(chars: string, command: ManifestCommand): FlagWord {
  const flag = Object.values(command.flags).find(({char}) => char === chars[0])
  const rest = chars.slice(1)
  if (flag?.type === 'option') return {flag, value: rest === '' ? undefined : rest.replace(/^=/, '')}
  return flag === undefined || rest === '' ? {flag, value: undefined} : shortFlagOf(rest, command)
}
