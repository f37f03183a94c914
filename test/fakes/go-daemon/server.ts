// SPDX-License-Identifier: Apache-2.0
/** A Go daemon of any version and mode on a real socket: status, headers and texts as contracts 1 and 11 give them. */
import type {IncomingMessage, ServerResponse} from 'node:http'
import {listenLocally} from '../local-server.ts'
import {type GoMode, type GoVersion, TRAITS, type Traits} from './dialects.ts'
import {bpfDump, configDump, goJson} from './dumps.ts'
import {answerLoggers} from './loggers.ts'
import {answerToggle, defaultToggles, type Toggles} from './toggles.ts'

/** `plain`: written by http.Error, which adds `nosniff`. `drop`: the handler panicked, nothing is answered. */
export type Answer = {readonly status: number; readonly text: string; readonly plain?: boolean} | 'drop'

export interface GoDaemonOptions {
  readonly version: GoVersion
  readonly mode: GoMode
  readonly seed?: number
  /** As builds after v1.2 do: GET on a toggle tells its state. */
  readonly tellsToggles?: boolean
  /** Answers instead of the daemon where it gives something. */
  readonly override?: (method: string, path: string) => Answer | undefined
}

export interface GoDaemon {
  readonly port: number
  readonly url: string
  readonly requests: string[]
  readonly levels: Map<string, string>
  /** By path. */
  readonly toggles: Toggles
  /** A restart: levels and toggles have their defaults, no request was made. */
  reset(): void
  close(): Promise<void>
}

const NOT_FOUND: Answer = {status: 404, text: '404 page not found\n', plain: true}

export async function startDaemon(options: GoDaemonOptions): Promise<GoDaemon> {
  const {version, mode, seed = 1, override, tellsToggles = false} = options
  const traits = TRAITS[version]
  const levels = new Map<string, string>()
  const toggles: Toggles = new Map()
  const requests: string[] = []
  const reset = (): void => {
    for (const name of ['default', 'fileOnly', 'bpf']) levels.set(name, 'info')
    for (const [path, isOn] of defaultToggles(traits)) toggles.set(path, isOn)
    requests.length = 0
  }
  reset()
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const {method = 'GET'} = request
    // `//version` is a path here, no host.
    const url = new URL((request.url ?? '/').replace(/^\/+/, '/'), 'http://daemon')
    requests.push(`${method} ${request.url}`)
    const body = await textOf(request)
    if (url.pathname !== (request.url ?? '').split('?')[0]) {
      return redirect(response, url.pathname)
    }
    const answer = (): Answer => {
      const path = url.pathname
      if (path === '/debug/loggers')
        return answerLoggers(traits, levels, method, url.searchParams.get('name'), body)
      if (traits.toggles.includes(path)) {
        const typed = url.searchParams.get('enable') ?? ''
        return answerToggle(traits, mode, toggles, {method, path, typed, tells: tellsToggles})
      }
      return answerFixed(traits, version, mode, path, seed + requests.length)
    }
    send(request, response, override?.(method, url.pathname) ?? answer())
  }
  const server = await listenLocally((request, response) => {
    serve(request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  return {...server, requests, levels, toggles, reset}
}

function answerFixed(traits: Traits, version: GoVersion, mode: GoMode, path: string, seed: number): Answer {
  if (path === '/debug/ready') return {status: 200, text: 'OK'}
  if (path === '/version' && traits.age >= 2) return {status: 200, text: goJson(versionOf(version), 2)}
  if (path === '/help' && traits.age < 2) return {status: 200, text: '\t/help: list of commands\n'}
  if (path === '/options' && traits.age < 2) {
    return {
      status: 200,
      text: `${goJson({BpfConfig: {Mode: mode === 'dual-engine' ? 'workload' : 'ads'}}, 2)}\n`,
    }
  }
  for (const [paths, dump] of [
    [traits.configDump, configDump],
    [traits.bpfDump, bpfDump],
  ] as const) {
    const wanted = paths[path]
    if (wanted === undefined) continue
    if (wanted !== mode) return {status: 400, text: traits.wrongMode}
    return {status: 200, text: dump(traits, mode, seed)}
  }
  return NOT_FOUND
}

function versionOf(gitVersion: string): object {
  return {
    gitVersion,
    gitCommit: '4f1c0ffee',
    gitTreeState: 'clean',
    buildDate: '2025-02-11T08:00:00Z',
    goVersion: 'go1.23.4',
    compiler: 'gc',
    platform: 'linux/amd64',
  }
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  if (answer === 'drop') return void request.socket.destroy()
  const {status, text, plain} = answer
  response.writeHead(status, {
    ...(text === '' ? {} : {'Content-Type': 'text/plain; charset=utf-8'}),
    ...(plain ? {'X-Content-Type-Options': 'nosniff'} : {}),
    'Content-Length': Buffer.byteLength(text),
  })
  response.end(request.method === 'HEAD' ? undefined : text)
}

/** Unclean paths, as Go's mux answers them since 1.26. */
function redirect(response: ServerResponse, path: string): void {
  response.writeHead(307, {'Content-Type': 'text/html; charset=utf-8', Location: path})
  response.end(`<a href="${path}">Temporary Redirect</a>.\n\n`)
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}
