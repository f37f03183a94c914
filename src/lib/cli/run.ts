// SPDX-License-Identifier: Apache-2.0
/** From a command line to a command: finds it, shows help, or says that it does not exist. */
import {Config} from '@oclif/core'
import {type KmeshError, UsageError} from '../errors.ts'
import {errorDocument, reportErrorOf} from '../model/report.ts'
import {jsonLine, jsonText, MACHINE_FORMATS, yamlText} from '../render/formats.ts'
import {asKmeshError, errorLines} from './error-text.ts'
import {KmeshHelp} from './help.ts'
import {machineFormatOf} from './output-choice.ts'
import {nearest} from './suggest.ts'
import {PipeClosedError, type Terminal} from './terminal.ts'
import {openClock, openTerminal, setExitCode} from './wiring.ts'

/**
 * Runs one command line. Never throws; the exit status is set.
 *
 * @param root - folder of package.json and oclif.manifest.json.
 */
export async function runCli(argv: readonly string[], root: string): Promise<void> {
  try {
    await dispatch(argv, await Config.load({root}))
  } catch (thrown) {
    await fail(asKmeshError(thrown), argv, openTerminal({}))
  }
}

async function dispatch(argv: readonly string[], config: Config): Promise<void> {
  const isHelpCommand = argv[0] === 'help'
  const words = isHelpCommand ? argv.slice(1) : argv
  const {id, rest} = resolve(words, config)
  const end = words.indexOf('--')
  const flags = end < 0 ? words : words.slice(0, end)
  if (isHelpCommand || flags.includes('--help') || flags.includes('-h')) {
    if (id === '' && rest.some((word) => !word.startsWith('-'))) throw unknownCommand(words, config)
    return await new KmeshHelp(config, config.pjson.oclif.helpOptions).showHelp(id === '' ? [] : [id])
  }
  const command = config.findCommand(id)
  if (command !== undefined) {
    await config.runCommand(id, [...rest], command)
    return
  }
  if (id !== '' && rest.every((word) => word.startsWith('-')) && config.findTopic(id)) {
    if (rest.length > 0) throw new UsageError(`'${id.replaceAll(':', ' ')}' needs a command`)
    return await new KmeshHelp(config).showHelp([id])
  }
  throw unknownCommand(words, config)
}

/** Longest run of leading words that names a command, else a topic. */
function resolve(words: readonly string[], config: Config): {id: string; rest: readonly string[]} {
  const firstFlag = words.findIndex((word) => word.startsWith('-'))
  const names = firstFlag < 0 ? words : words.slice(0, firstFlag)
  for (let length = names.length; length > 0; length -= 1) {
    const id = names.slice(0, length).join(':')
    if (config.findCommand(id) || config.findTopic(id)) return {id, rest: words.slice(length)}
  }
  return {id: '', rest: words}
}

function unknownCommand(words: readonly string[], config: Config): UsageError {
  const firstFlag = words.findIndex((word) => word.startsWith('-'))
  const names = firstFlag < 0 ? words : words.slice(0, firstFlag)
  if (names.length === 0) return new UsageError(`unknown flag ${words[0] ?? ''} before a command`)
  const known = [...config.commandIDs, ...config.topics.map((topic) => topic.name)]
  const typed = names.slice(0, 2).join(' ')
  const candidates = known.map((id) => id.replaceAll(':', ' '))
  const near = nearest(typed, candidates) ?? nearest(names[0] ?? '', candidates)
  const hint = near === undefined ? 'kmeshctl --help lists the commands' : `did you mean 'kmeshctl ${near}'?`
  return new UsageError(`unknown command '${typed}'`, {code: 'UnknownCommand', hints: [hint]})
}

async function fail(error: KmeshError, argv: readonly string[], terminal: Terminal): Promise<void> {
  setExitCode(error.exitCode)
  if (error instanceof PipeClosedError) return
  terminal.err(errorLines(error, {color: terminal.colorErr, debug: argv.includes('--debug')}))
  const format = machineFormatOf(argv, MACHINE_FORMATS)
  if (format === undefined) return
  const entry = reportErrorOf(error)
  const document = errorDocument(entry, (await openClock()).nowMs())
  if (format === 'jsonl') await terminal.out(jsonLine('ERROR', entry))
  else await terminal.out(format === 'json' ? jsonText(document) : await yamlText(document))
}
