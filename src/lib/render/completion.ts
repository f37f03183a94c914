// SPDX-License-Identifier: Apache-2.0

import type {Candidate, CompletionPlan} from '../model/completion.ts'
import {safeNames} from '../model/completion-kinds.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
/** Who asks for candidates: a shell with a script of ours, or kubectl. */
export type Asker = (typeof SHELLS)[number] | 'kubectl'

/** What kubectl (cobra) does with the candidates. */
const DIRECTIVE = {noSpace: 2, noFiles: 4} as const

/**
 * One candidate a line, with a tab and a description where there is one, and a last line `:N`: 4 no file names
 * (the shell adds them otherwise), 2 no space behind a candidate (for kubectl; our scripts look at its last
 * character). Candidates are whole words; kubectl's shells expect what comes behind `--flag=`.
 */
export function renderCompletion(plan: CompletionPlan, live: readonly string[], asker: Asker): string {
  const {prefix, partial, fixed, suffix, exclude} = plan
  const names = safeNames(live).filter((name) => !exclude.includes(name))
  const all: Candidate[] = [...fixed, ...names.map((name) => ({value: `${name}${suffix}`}))]
  const isPlain = /^[A-Za-z0-9._:/@+=,-]*$/.test(prefix)
  const chosen = isPlain ? all.filter(({value}) => value.startsWith(partial)) : []
  const shown = asker === 'kubectl' ? prefix.replace(/^-[^=]*=/, '') : prefix
  const lines = chosen.map(({value, description}) =>
    description === undefined ? `${shown}${value}` : `${shown}${value}\t${oneLine(description)}`,
  )
  const isOpen = chosen.length > 0 && chosen.every(({value}) => value.endsWith('='))
  const directive = (plan.files ? 0 : DIRECTIVE.noFiles) + (isOpen ? DIRECTIVE.noSpace : 0)
  return [...new Set(lines), `:${directive}`, ''].join('\n')
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}
