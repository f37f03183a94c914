// SPDX-License-Identifier: Apache-2.0
/** `-v`: says each question to a daemon before it is asked. */
import {type DaemonTarget, ENDPOINTS, type EndpointName} from '../model/api.ts'
import type {Admin, AdminDialer, Log} from '../ports.ts'

export function sayingDialer(dialer: AdminDialer, log: Log): AdminDialer {
  return {...dialer, dial: (target) => saying(dialer.dial(target), log)}
}

function saying(admin: Admin, log: Log): Admin {
  const {target} = admin
  const ask = (method: string, path: string): void => log.info(`asking ${nameOf(target)}: ${method} ${path}`)
  const askEndpoint = (endpoint: EndpointName, params: object): void =>
    ask(ENDPOINTS[endpoint].method, pathOf(endpoint, params))
  return {
    target,
    call: (endpoint, params, options) => {
      askEndpoint(endpoint, params)
      return admin.call(endpoint, params, options)
    },
    text: (endpoint, params, options) => {
      askEndpoint(endpoint, params)
      return admin.text(endpoint, params, options)
    },
    lines: (endpoint, params, options) => {
      askEndpoint(endpoint, params)
      return admin.lines(endpoint, params, options)
    },
    members: (endpoint, params, options) => {
      askEndpoint(endpoint, params)
      return admin.members(endpoint, params, options)
    },
    head: (path, options) => {
      ask('HEAD', path)
      return admin.head(path, options)
    },
    peek: (path, options) => {
      ask('GET', path)
      return admin.peek(path, options)
    },
    once: (fact, question) => admin.once(fact, question),
    close: () => admin.close(),
  }
}

function nameOf({node, pod}: DaemonTarget): string {
  return pod === null ? node : `node ${node} (pod ${pod.namespace}/${pod.name})`
}

/** For people: what was asked for and by which parameters, not percent-encoded. */
function pathOf(endpoint: EndpointName, params: object): string {
  const {path, query, body, elsewhere} = ENDPOINTS[endpoint]
  const values = params as Readonly<Record<string, unknown>>
  const base = elsewhere && typeof values['path'] === 'string' ? values['path'] : path
  const shown = (names: readonly string[]): string[] =>
    names.filter((name) => values[name] !== undefined).map((name) => `${name}=${String(values[name])}`)
  const filled = base.replace(/\{(\w+)\}/g, (_match, name: string) => String(values[name]))
  const asked = query.length === 0 ? '' : `?${shown(query).join('&')}`
  return [`${filled}${asked}`, ...shown(body)].join(' ')
}
