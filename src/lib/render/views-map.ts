// SPDX-License-Identifier: Apache-2.0
import type {Fields, MapItem} from '../model/map-item.ts'
import {MANAGE, mapRow} from '../model/maps.ts'
import type {View} from './formats.ts'
import type {Column} from './table.ts'
import {count} from './text.ts'

const columns: readonly Column<MapItem>[] = [
  {header: 'NODE', value: (item) => item.node},
  {header: 'MAP', value: (item) => item.map},
  {header: 'KEY', value: (item) => fieldsText(item, 'key', item.key)},
  {header: 'VALUE', value: (item) => fieldsText(item, 'value', item.value)},
]

const hexColumns: readonly Column<MapItem>[] = [
  {header: 'KEY BYTES', value: (item) => item.keyHex},
  {header: 'VALUE BYTES', value: (item) => item.valueHex},
]

export function mapView(raw: boolean): View<MapItem> {
  return {
    columns: raw ? [...columns, ...hexColumns] : columns,
    totals: ({summary}) => {
      const entries = Number(summary['entries'] ?? 0)
      const hidden = Number(summary['filteredOut'] ?? 0)
      return `${count(entries, 'entry', 'entries')}${hidden > 0 ? `, ${hidden} more filtered out` : ''}`
    },
  }
}

/** `upstreamId=7(shop/cart.shop.svc.cluster.local)`: fields in their order, ids with their names. */
function fieldsText(item: MapItem, side: 'key' | 'value', fields: Fields | null): string | null {
  if (fields === null) return null
  const ids = mapRow(item.map)?.ids ?? []
  return shownFields(item, side, fields)
    .map(([name, value]) => `${name}=${valueText(value, ids.includes(`${side}.${name}`) ? item.names : {})}`)
    .join(' ')
}

/** The same key bytes read as cookie and as address: once the daemon names the pod of the cookie, it is no address. */
function shownFields(item: MapItem, side: 'key' | 'value', fields: Fields): [string, unknown][] {
  const entries = Object.entries(fields)
  if (side !== 'key' || item.map !== MANAGE.name) return entries
  const isNamed = Object.hasOwn(item.names, String(fields['cookie']))
  return isNamed ? entries.filter(([name]) => name === 'cookie') : entries
}

function valueText(value: unknown, names: Readonly<Record<string, string>>): string {
  if (value === null || value === undefined) return '-'
  if (Array.isArray(value)) return `[${value.map((one) => valueText(one, names)).join(',')}]`
  if (typeof value === 'object') {
    const parts = Object.entries(value).map(([name, one]) => `${name}:${valueText(one, names)}`)
    return `{${parts.join(',')}}`
  }
  const name = names[String(value)]
  return name === undefined ? String(value) : `${value}(${name})`
}
