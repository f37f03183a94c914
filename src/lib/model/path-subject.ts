// SPDX-License-Identifier: Apache-2.0
/** Whom `path` is about, as typed: `web-1`, `shop/web-1`; `cart:http`, `10.96.0.10:80`, `[fd00::a]:80`. */
import {isIP} from 'node:net'
import {UsageError} from '../errors.ts'
import {normalAddress} from './codec.ts'
import type {PathAddress} from './path-connect.ts'

export interface NamedObject {
  readonly namespace: string
  readonly name: string
}

export interface ServiceSubject extends NamedObject {
  /** Number or name; undefined: the only one. */
  readonly port: number | string | undefined
}

export type PathSubject = {readonly at: PathAddress} | {readonly service: ServiceSubject}

const NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

/** `[NAMESPACE/]NAME`. @throws UsageError */
export function parseClient(text: string, namespace: string): NamedObject {
  return named(text, namespace, 'CLIENT-POD', 'for example web-1 or shop/web-1')
}

/** @param namespace - of a service without one. @throws UsageError */
export function parsePathSubject(text: string, namespace: string): PathSubject {
  const at = addressOf(text)
  if (at !== undefined) return {at}
  const [, name = '', port] = /^([^:]*)(?::([^:]*))?$/.exec(text) ?? []
  const service = named(
    name,
    namespace,
    'SERVICE',
    'for example cart, shop/cart:80, 10.96.0.10:80, [fd00::a]:80',
  )
  return {service: {...service, port: port === undefined ? undefined : portOf(port, text)}}
}

function addressOf(text: string): PathAddress | undefined {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  const [, address = '', port] =
    bracketed ?? (isIP(text) === 6 ? [text, text] : /^([\d.]+)(?::(.*))?$/.exec(text)) ?? []
  const family = isIP(address)
  const isAddress = family !== 0 && !address.includes('%') && (bracketed === null || family === 6)
  if (bracketed !== null && !isAddress) throw bad(text, 'is no address', 'for example [fd00::a]:80')
  if (!isAddress) return undefined
  const number = port === undefined ? undefined : portOf(port, text)
  if (typeof number === 'number') return {address: normalAddress(address), port: number}
  const example = family === 6 ? `[${address}]:80` : `${address}:80`
  throw bad(text, 'has no port number', `for example ${example}`)
}

const MAX_PORT = 65_535

function portOf(text: string, whole: string): number | string {
  if (!/^\d+$/.test(text)) {
    if (/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/i.test(text)) return text
    throw bad(whole, `has no port behind its colon`, 'for example cart:80 or cart:http')
  }
  const port = Number(text)
  if (port >= 1 && port <= MAX_PORT) return port
  throw bad(whole, `has a port that is none: ${text}`, 'ports are 1 to 65535')
}

function named(text: string, namespace: string, parameter: string, example: string): NamedObject {
  const parts = text.split('/')
  const [name = '', own = namespace] = [...parts].reverse()
  if (parts.length <= 2 && NAME.test(name) && NAME.test(own)) return {namespace: own, name}
  throw new UsageError(`'${text}' is no ${parameter}`, {parameter, hints: [example]})
}

function bad(text: string, why: string, hint: string): UsageError {
  return new UsageError(`'${text}' ${why}`, {parameter: 'SERVICE', hints: [hint]})
}
