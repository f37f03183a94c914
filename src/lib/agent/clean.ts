// SPDX-License-Identifier: Apache-2.0
/** Takes from a foreign object only what has the type that it should have; the rest is left out and told. */

/** Gives the clean value; undefined where there is none. `path` is told to `onBad` where something was left out. */
export type Shape = (value: unknown, path: string, onBad: (path: string) => void) => unknown

function when(isGood: (value: unknown) => boolean): Shape {
  return (value, path, onBad) => {
    if (isGood(value)) return value
    onBad(path)
    return undefined
  }
}

const MAX_TEXT = 300_000
const MAX_PORT = 65_535

export const text = when((value) => typeof value === 'string' && value.length <= MAX_TEXT)
export const flag = when((value) => typeof value === 'boolean')
export const count = when((value) => Number.isSafeInteger(value) && Number(value) >= 0)
export const port = when((value) => Number.isInteger(value) && Number(value) > 0 && Number(value) <= MAX_PORT)
/** A number or the name of a port; a number in a text is a name. */
export const portOrName: Shape = (value, path, onBad) =>
  typeof value === 'string' ? text(value, path, onBad) : port(value, path, onBad)
/** Of objects: what DNS allows, which is also free of what a log or a file would take for its own. */
export const name = when(
  (value) => typeof value === 'string' && /^[A-Za-z0-9][-A-Za-z0-9.:_]{0,252}$/.test(value),
)

/** Elements that are not clean are left out. */
export function list(element: Shape): Shape {
  return (value, path, onBad) => {
    if (!Array.isArray(value)) return void onBad(path)
    return value.map((one) => element(one, `${path}[]`, onBad)).filter((one) => one !== undefined)
  }
}

/** Names and texts, as labels are. */
export const texts: Shape = (value, path, onBad) => {
  if (!isRecord(value)) return void onBad(path)
  const entries = Object.entries(value).filter(([, one]) => text(one, `${path}.*`, onBad) !== undefined)
  return Object.fromEntries(entries)
}

/** Absent and null fields are left out in silence. @param required - without these the whole is not clean */
export function fields(shapes: Readonly<Record<string, Shape>>, required: readonly string[] = []): Shape {
  const entries = Object.entries(shapes)
  return (value, path, onBad) => {
    if (!isRecord(value)) return void onBad(path)
    const clean: Record<string, unknown> = {}
    for (const [field, shape] of entries) {
      const kept = present(value[field], shape, path === '' ? field : `${path}.${field}`, onBad)
      if (kept !== undefined) clean[field] = kept
    }
    const missing = required.find((field) => clean[field] === undefined)
    return missing === undefined ? clean : void onBad(`${path}.${missing}`)
  }
}

function present(value: unknown, shape: Shape, path: string, onBad: (path: string) => void): unknown {
  return value === undefined || value === null ? undefined : shape(value, path, onBad)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
