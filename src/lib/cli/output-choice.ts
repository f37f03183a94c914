// SPDX-License-Identifier: Apache-2.0
import {FORMATS, type FormatName, MACHINE_FORMATS} from '../render/formats.ts'

export type MachineFormat = (typeof MACHINE_FORMATS)[number]

/**
 * The machine format that a command line asks for, also when the rest of it cannot be parsed: then the error
 * goes to stdout as a document. The last `-o` with a format that there is counts, as it does for the parser.
 * Undefined when there is none, or `--json` disagrees with it.
 */
export function machineFormatOf(
  argv: readonly string[],
  allowed: readonly FormatName[],
): MachineFormat | undefined {
  const end = argv.indexOf('--')
  const words = end < 0 ? argv : argv.slice(0, end)
  const typed = words.flatMap((word, index) => {
    if (word === '-o' || word === '--output') return [words[index + 1] ?? '']
    if (word.startsWith('--output=')) return [word.slice('--output='.length)]
    return /^-o.+/.test(word) ? [word.slice(2).replace(/^=/, '')] : []
  })
  const last = typed.findLast((format) => Object.hasOwn(FORMATS, format))
  if (words.includes('--json') && last !== undefined && last !== 'json') return undefined
  const value = words.includes('--json') ? 'json' : last
  return MACHINE_FORMATS.find((format) => format === value && allowed.includes(format))
}
