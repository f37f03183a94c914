// SPDX-License-Identifier: Apache-2.0
/** From the words typed so far to what may stand next. */
import {
  ARGUMENTS,
  kindOfFlag,
  type LiveKind,
  levelsOf,
  PAIR_ARGUMENTS,
  type PairRow,
} from './completion-kinds.ts'
import {
  type Environment,
  flagOf,
  type ManifestCommand,
  type ManifestCommands,
  type ManifestFlag,
  plainWord,
  type ReadFlags,
  readFlags,
} from './completion-line.ts'

export interface Candidate {
  readonly value: string
  readonly description?: string
}

export interface CompletionPlan {
  /** Part of the last word that stays: `--node=`, `n1,`, `bpf=`. */
  readonly prefix: string
  /** The rest of the last word: candidates begin with it. */
  readonly partial: string
  readonly fixed: readonly Candidate[]
  readonly live: LiveKind | undefined
  /** Behind each live value. */
  readonly suffix: '' | '='
  /** Live values that are there already. */
  readonly exclude: readonly string[]
  /** The shell completes file names. */
  readonly files: boolean
  /** Values of the command's flags: typed, else of the environment, else the default. */
  readonly settings: Readonly<Record<string, readonly string[]>>
}

export interface CompletionInput {
  readonly commands: ManifestCommands
  /** `log` -> what it is about. */
  readonly topics: Readonly<Record<string, {readonly description?: string}>>
  /** Behind the name of the program; the last one is being typed, perhaps empty. */
  readonly words: readonly string[]
  readonly env: Environment
  /** Words are as typed, with quotes and variables. */
  readonly raw: boolean
}

const EMPTY: CompletionPlan = {
  prefix: '',
  partial: '',
  fixed: [],
  live: undefined,
  suffix: '',
  exclude: [],
  files: false,
  settings: {},
}

export function planCompletion(input: CompletionInput): CompletionPlan {
  const read = input.words.map((word) => (input.raw ? plainWord(word, input.env) : word))
  // What only the shell could expand stands for a value that nobody knows.
  if (read.includes(undefined)) return {...EMPTY, files: true}
  const words = read as readonly string[]
  const before = words.slice(0, -1)
  const partial = words.at(-1) ?? ''
  const isHelp = before[0] === 'help'
  const names = isHelp ? before.slice(1) : before
  const length = isHelp ? 0 : commandLength(names, input.commands)
  if (length === 0) return {...EMPTY, partial, fixed: nextWords(names, partial, isHelp, input)}
  const id = names.slice(0, length).join(':')
  return planCommand(id, names.slice(length), partial, input)
}

/** Number of leading words that name a command. */
function commandLength(words: readonly string[], commands: ManifestCommands): number {
  const firstFlag = words.findIndex((word) => word.startsWith('-'))
  for (let length = firstFlag < 0 ? words.length : firstFlag; length > 0; length -= 1) {
    if (Object.hasOwn(commands, words.slice(0, length).join(':'))) return length
  }
  return 0
}

/** Commands and topics below the words. */
function nextWords(
  words: readonly string[],
  partial: string,
  isHelp: boolean,
  {commands, topics}: CompletionInput,
): Candidate[] {
  const isRoot = words.length === 0 && !isHelp
  if (partial.startsWith('-')) {
    const version = isRoot ? [{value: '--version', description: 'the version of this program'}] : []
    return [{value: '--help', description: 'how to use it'}, ...version]
  }
  const found = new Map<string, Candidate>()
  for (const [id, command] of Object.entries(commands)) {
    const path = id.split(':')
    const value = path[words.length]
    if (command.hidden || value === undefined || !words.every((word, index) => word === path[index])) continue
    const isLast = path.length === words.length + 1
    const description = isLast
      ? (command.summary ?? command.description)
      : topics[path.slice(0, words.length + 1).join(':')]?.description
    found.set(value, {value, ...(description === undefined ? {} : {description})})
  }
  if (isRoot) found.set('help', {value: 'help', description: 'how to use a command'})
  return [...found.values()]
}

function planCommand(
  id: string,
  before: readonly string[],
  partial: string,
  {commands, env}: CompletionInput,
): CompletionPlan {
  const command = commands[id] as ManifestCommand
  const read = readFlags(before, command)
  const base = {...EMPTY, partial, settings: settingsOf(command, read, env)}
  if (read.pending !== undefined) return planValue(id, read.pending, '', partial, base)
  if (!read.ended && partial.startsWith('-')) return planFlag(id, command, read, base)
  return planArgument(id, command, read, base)
}

function settingsOf(
  command: ManifestCommand,
  {values}: ReadFlags,
  env: Environment,
): Record<string, readonly string[]> {
  const settings: Record<string, readonly string[]> = {}
  for (const flag of Object.values(command.flags)) {
    const typed = values.get(flag.name)
    const other = (flag.env === undefined ? undefined : env[flag.env]) || flag.default
    if (typed !== undefined) settings[flag.name] = typed.flatMap((value) => split(value, flag))
    else if (typeof other === 'string' || typeof other === 'number') settings[flag.name] = [String(other)]
  }
  return settings
}

function split(value: string, {delimiter}: ManifestFlag): string[] {
  return delimiter === undefined ? [value] : value.split(delimiter)
}

/** A word that begins with `-`: a flag, or a flag with its value. */
function planFlag(
  id: string,
  command: ManifestCommand,
  read: ReadFlags,
  base: CompletionPlan,
): CompletionPlan {
  const word = base.partial
  const {flag, value} = flagOf(word, command)
  if (flag?.type === 'option' && value !== undefined) {
    return planValue(id, flag, word.slice(0, word.length - value.length), value, base)
  }
  return {...base, fixed: flagCandidates(command, read)}
}

function flagCandidates(command: ManifestCommand, {values}: ReadFlags): Candidate[] {
  const candidates: Candidate[] = [{value: '--help', description: 'how to use it'}]
  for (const {name, hidden, multiple, allowNo, description} of Object.values(command.flags)) {
    if (hidden || (values.has(name) && !multiple)) continue
    const rest = description === undefined ? {} : {description}
    candidates.push({value: `--${name}`, ...rest})
    if (allowNo) candidates.push({value: `--no-${name}`, ...rest})
  }
  return candidates
}

/** The value of a flag; `prefix` is what stands in the same word before it. */
function planValue(
  id: string,
  flag: ManifestFlag,
  prefix: string,
  value: string,
  base: CompletionPlan,
): CompletionPlan {
  const listEnd = flag.delimiter === undefined ? 0 : value.lastIndexOf(flag.delimiter) + 1
  const live = kindOfFlag(id, flag.name)
  return {
    ...base,
    prefix: `${prefix}${value.slice(0, listEnd)}`,
    partial: value.slice(listEnd),
    fixed: (flag.options ?? []).map((option) => ({value: option})),
    live,
    exclude: flag.multiple ? [...(base.settings[flag.name] ?? []), ...split(value, flag).slice(0, -1)] : [],
    files: flag.helpValue === 'FILE' || flag.helpValue === 'FOLDER',
  }
}

function planArgument(
  id: string,
  command: ManifestCommand,
  read: ReadFlags,
  base: CompletionPlan,
): CompletionPlan {
  const row = Object.hasOwn(ARGUMENTS, id) ? ARGUMENTS[id] : undefined
  const args = Object.values(command.args)
  const {positionals} = read
  // Behind the pod comes a command of its own.
  if (id === 'sandbox:exec' && positionals.length > 0) return {...base, files: true}
  const isFull = command.strict !== false && positionals.length >= args.length
  if (isFull) return {...base, fixed: read.ended ? [] : flagCandidates(command, read)}
  const pairs = Object.hasOwn(PAIR_ARGUMENTS, id) ? PAIR_ARGUMENTS[id] : undefined
  if (pairs !== undefined) return planPair(pairs, positionals, base)
  if (row === undefined) {
    return {...base, fixed: (args[positionals.length]?.options ?? []).map((value) => ({value}))}
  }
  if (row.levels) return planLevel(positionals, base)
  const live = positionals.length > 0 && row.rest !== undefined ? row.rest : row.live
  return {...base, live, exclude: row.rest === undefined ? positionals : []}
}

/** `NAME=VALUE`, each name once. */
function planPair({names, values}: PairRow, typed: readonly string[], base: CompletionPlan): CompletionPlan {
  const end = base.partial.indexOf('=') + 1
  if (end > 0) {
    const [prefix, partial] = [base.partial.slice(0, end), base.partial.slice(end)]
    return {...base, prefix, partial, fixed: values.map((value) => ({value}))}
  }
  const free = names.filter((name) => !typed.some((word) => word.startsWith(`${name}=`)))
  return {...base, fixed: free.map((name) => ({value: `${name}=`}))}
}

/** `LEVEL` or `LOGGER=LEVEL`. */
function planLevel(typed: readonly string[], base: CompletionPlan): CompletionPlan {
  const separator = base.partial.indexOf('=')
  const logger = separator < 0 ? 'default' : base.partial.slice(0, separator)
  const levels = levelsOf(logger).map((value) => ({value}))
  if (separator >= 0) {
    const prefix = base.partial.slice(0, separator + 1)
    return {...base, prefix, partial: base.partial.slice(separator + 1), fixed: levels}
  }
  const named = typed.filter((word) => word.includes('=')).map((word) => word.slice(0, word.indexOf('=')))
  return {...base, fixed: levels, live: 'loggers', suffix: '=', exclude: named}
}
