// SPDX-License-Identifier: Apache-2.0
/** Reads values out of JSON that a daemon sent. Missing and null are defaults; a wrong type names its place. */
import {UnreachableError} from '../errors.ts'

export type Fields = Readonly<Record<string, unknown>>

/** @param place - what it was found in, for the message: `map km_backend`, `config dump: services[3].vips` */
export function badAnswer(place: string, wanted: string): UnreachableError {
  return new UnreachableError('decode', `${place}: expected ${wanted}`, {code: 'BadAnswer'})
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Null and missing are empty. @throws UnreachableError `decode` */
export function fieldsOf(value: unknown, place: string): Fields {
  if (value === undefined || value === null) return {}
  if (isFields(value)) return value
  throw badAnswer(place, 'an object')
}

/** Null and missing are empty. @throws UnreachableError `decode` */
export function listOf(value: unknown, place: string): readonly unknown[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value
  throw badAnswer(place, 'a list')
}

export function objectsOf(value: unknown, place: string): readonly Fields[] {
  return listOf(value, place).map((item, index) => {
    if (isFields(item)) return item
    throw badAnswer(`${place}[${index}]`, 'an object')
  })
}

export function textsOf(value: unknown, place: string): readonly string[] {
  return listOf(value, place).map((item, index) => {
    if (typeof item === 'string') return item
    throw badAnswer(`${place}[${index}]`, 'a text')
  })
}

/** Missing, null and empty are null. @throws UnreachableError `decode` */
export function textOf(value: unknown, place: string): string | null {
  if (value === undefined || value === null || value === '') return null
  if (typeof value === 'string') return value
  throw badAnswer(place, 'a text')
}

/** Missing and null are 0; protojson writes 64 bits as text. @throws UnreachableError `decode` */
export function wholeOf(value: unknown, place: string): number {
  if (value === undefined || value === null) return 0
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number
  throw badAnswer(place, 'a whole number')
}

/** Unsigned 32 bits. @throws UnreachableError `decode` */
export function word32Of(value: unknown, place: string): number {
  const number = wholeOf(value, place)
  if (number <= 0xffff_ffff) return number
  throw badAnswer(place, 'a number of 32 bits')
}

/** The value under the first of the names that is there: dialects differ in case only. */
export function underAny(fields: Fields, ...names: readonly string[]): unknown {
  const name = names.find((one) => Object.hasOwn(fields, one))
  return name === undefined ? undefined : fields[name]
}
