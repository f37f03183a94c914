// SPDX-License-Identifier: Apache-2.0
/** Elements of the page. Text goes in as text only: nothing here reads markup. */

export type Child = Node | string

export interface Attributes {
  readonly [name: string]: string | number | boolean | undefined
}

/** An element with attributes (`true`: present, `false` and undefined: absent) and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined)
      element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children)
  return element
}

/** The element of the page's own markup. */
export function byId<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`the page has no #${id}`)
  return found as T
}

export const VERDICT_NAMES = ['works', 'unknown', 'depends', 'fails'] as const
/** Told apart without colours. */
export const VERDICT_SIGNS = ['\u2713', '?', '\u00b1', '\u00d7'] as const
export const VERDICT_MEANINGS = [
  'every endpoint answers',
  'cannot be told',
  'some endpoints fail',
  'no endpoint answers',
] as const

export function verdictName(verdict: number): string {
  return VERDICT_NAMES[verdict] ?? ''
}

export function verdictSign(verdict: number): string {
  return VERDICT_SIGNS[verdict] ?? ''
}

const NUMBERS = new Intl.NumberFormat('en')
const SHORT_NUMBERS = new Intl.NumberFormat('en', {notation: 'compact', maximumFractionDigits: 1})

export function numberText(number: number): string {
  return NUMBERS.format(number)
}

/** `12`, `1.2K`: at most four characters below a million. */
export function shortNumber(number: number): string {
  return SHORT_NUMBERS.format(number)
}

/** `1 pair`, `2 pairs`. */
export function counted(number: number, noun: string): string {
  return `${numberText(number)} ${noun}${number === 1 ? '' : 's'}`
}

/** A name from the cluster: its direction of writing stays inside. */
export function nameOf(text: string, className = 'name'): HTMLElement {
  return make('bdi', {class: className}, text)
}
