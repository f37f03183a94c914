// SPDX-License-Identifier: Apache-2.0
/** Replies of daemons are hostile until their shape was looked at; one checker an endpoint. */
import {UnreachableError} from '../errors.ts'
import type {EndpointName} from './api.ts'

type Check = (value: unknown) => boolean

const isText: Check = (value) => typeof value === 'string'
const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value)
const isFlag: Check = (value) => typeof value === 'boolean'
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)
const nullable =
  (check: Check): Check =>
  (value) =>
    value === null || check(value)
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check)

/** An object with at least these fields; others are let through. */
function shape(fields: Readonly<Record<string, Check>>): Check {
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    const object = value as Readonly<Record<string, unknown>>
    return Object.entries(fields).every(([name, check]) => check(object[name]))
  }
}

const anyObject = shape({})

const CHECKS: {readonly [E in EndpointName]: Check} = {
  version: shape({
    gitVersion: isText,
    gitCommit: optional(isText),
    mode: optional(isText),
    capabilities: optional(listOf(isText)),
    sidecarPolicy: optional(isText),
    existingPods: optional(isText),
    backend: optional(isText),
  }),
  ready: shape({ready: isFlag, checks: listOf(shape({name: isText, ok: isFlag, message: isText}))}),
  loggers: listOf(isText),
  logger: shape({
    name: isText,
    level: isText,
    default: optional(isText),
    expiresAt: optional(nullable(isText)),
  }),
  setLogger: isText,
  toggle: shape({enabled: isFlag}),
  setToggle: isText,
  configDump: anyObject,
  bpfDump: anyObject,
  maps: listOf(
    shape({
      name: isText,
      type: isText,
      keyBytes: isNumber,
      valueBytes: isNumber,
      entries: nullable(isNumber),
      maxEntries: isNumber,
      readable: isFlag,
    }),
  ),
  map: anyObject,
  enrollment: listOf(
    shape({
      namespace: isText,
      pod: isText,
      uid: isText,
      cookie: nullable(isText),
      addresses: listOf(isText),
      since: isText,
      rule: isText,
      intent: isFlag,
      captured: isFlag,
      bypass: optional(shape({wanted: isFlag, active: isFlag, reason: nullable(isText)})),
    }),
  ),
}

/** @throws UnreachableError `decode` for an answer that is not what the endpoint answers. */
export function checkReply(endpoint: EndpointName, value: unknown): void {
  if (CHECKS[endpoint](value)) return
  throw new UnreachableError('decode', `the answer of '${endpoint}' does not have the shape it should have`, {
    code: 'BadAnswer',
  })
}
