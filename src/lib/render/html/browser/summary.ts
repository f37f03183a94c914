// SPDX-License-Identifier: Apache-2.0
/** The top of the page: what was looked at, the outcome in one sentence, what is missing. */
import type {PageData, PageNotice} from '../page-data.ts'
import {byId, counted, make, nameOf, numberText} from './dom.ts'

/** More notices than this are folded. */
const OPEN_NOTICES = 3

export function showSummary(data: PageData): void {
  const {place, generatedAt, verdicts, requested} = data
  const parts = [
    ...(place.cluster === null ? [] : [`cluster ${place.cluster}`]),
    ...(place.context === null ? [] : [`context ${place.context}`]),
    place.server,
    place.asked,
    `made ${generatedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')}`,
  ]
  byId('place').append(...parts.flatMap((part) => [nameOf(part, 'part')]))
  const {fails, depends, unknown} = verdicts
  document.title = `Interop check: ${fails + depends} of ${counted(requested, 'pair')} with failures`
  byId('headline').append(...headline(fails, depends, unknown, requested))
  showNotices(data)
}

function headline(fails: number, depends: number, unknown: number, requested: number): (Node | string)[] {
  if (requested === 0) return ['No pair of a client and a service was found.']
  const bad: string[] = []
  if (fails > 0) bad.push(`${numberText(fails)} fail`)
  if (depends > 0) bad.push(`${numberText(depends)} fail at some endpoints`)
  if (unknown > 0) bad.push(`${numberText(unknown)} cannot be told`)
  const all = `Of ${counted(requested, 'pair')} of clients and services `
  if (bad.length === 0) return [all, make('strong', {}, 'all work'), '.']
  return [all, make('strong', {}, bad.join(', ')), '.']
}

function showNotices({errors, warnings, requested, pairs}: PageData): void {
  const listed = pairs.length / 3
  const hidden = requested - listed
  const left: PageNotice[] =
    hidden <= 0
      ? []
      : [{where: '', code: 'NotListed', message: `${counted(hidden, 'pair')} that work are not on this page`}]
  const all = [...errors, ...warnings, ...left]
  if (all.length === 0) return
  const items = [
    ...errors.map((notice) => noticeItem('error', notice)),
    ...[...warnings, ...left].map((notice) => noticeItem('warning', notice)),
  ]
  const heads = [
    ...(errors.length > 0 ? [counted(errors.length, 'error')] : []),
    ...(warnings.length + left.length > 0 ? [counted(warnings.length + left.length, 'warning')] : []),
  ]
  const details = make('details', {open: all.length <= OPEN_NOTICES})
  const summary = make('summary', {}, `${heads.join(', ')}: not everything could be read or judged`)
  details.append(summary, make('ul', {}, ...items))
  const section = byId('notices')
  section.hidden = false
  section.append(details)
}

function noticeItem(level: string, {where, code, message}: PageNotice): HTMLElement {
  return make(
    'li',
    {class: level},
    make('b', {}, level),
    ' ',
    make('code', {}, code),
    ' ',
    nameOf(where === '' ? message : `${where}: ${message}`, 'value'),
  )
}
