// SPDX-License-Identifier: Apache-2.0
import {type FormatName, MACHINE_FORMATS} from '../render/formats.ts'

export type MachineFormat = (typeof MACHINE_FORMATS)[number]

/**
 * The machine format that a command line asks for, also when the rest of it cannot be parsed: then the error
 * goes to stdout as a document. Undefined when there is none, it is unknown, or two disagree.
 */
export function machineFormatOf(
  argv: readonly string[],
  allowed: readonly FormatName[],
): MachineFormat | undefined {
  const end = argv.indexOf('--')
  const words = end < 0 ? argv : argv.slice(0, end)
  const values = new Set<string>()
  words.forEach((word, index) => {
    if (word === '--json') values.add('json')
    else if (word === '-o' || word === '--output') values.add(words[index + 1] ?? '')
    else if (word.startsWith('--output=')) values.add(word.slice('--output='.length))
    else if (/^-o.+/.test(word)) values.add(word.slice(2).replace(/^=/, ''))
  })
  if (values.size !== 1) return undefined
  const [value] = values
  return MACHINE_FORMATS.find((format) => format === value && allowed.includes(format))
}
