// SPDX-License-Identifier: Apache-2.0
/**
 * Single reads of a cluster for a program that must start fast: one kubeconfig file with certificates or a token in
 * it, as the installer of the plugin writes it. Loaded only when it is needed.
 */
import {readFileSync, statSync} from 'node:fs'
import type {IncomingMessage} from 'node:http'
import type {RequestOptions} from 'node:https'
import {dirname, resolve} from 'node:path'
import {KmeshError, messageOf, TimeoutError, UnreachableError} from '../errors.ts'
import {type Fields, fieldsOf, isFields, objectsOf, textOf} from '../model/hostile.ts'
import type {Namespace, Pod} from '../model/kube.ts'

const MAX_FILE_BYTES = 1024 * 1024
const MAX_ANSWER_BYTES = 4 * 1024 * 1024

export interface PodReader {
  pod(namespace: string, name: string, timeoutMs: number): Promise<Pod>
  namespace(name: string, timeoutMs: number): Promise<Namespace>
}

/** The file is read at the first request. */
export function createPodReader(kubeconfig: string): PodReader {
  let connection: Promise<Connection> | undefined
  const get = async (path: string, timeoutMs: number): Promise<unknown> => {
    connection ??= connectionOf(kubeconfig)
    return getJson(await connection, path, timeoutMs)
  }
  return {
    pod: async (namespace, name, timeoutMs) =>
      checked<Pod>(await get(`/api/v1/namespaces/${namespace}/pods/${name}`, timeoutMs), `pod ${name}`),
    namespace: async (name, timeoutMs) =>
      checked<Namespace>(await get(`/api/v1/namespaces/${name}`, timeoutMs), `namespace ${name}`),
  }
}

interface Connection {
  readonly server: URL
  readonly options: RequestOptions
}

async function connectionOf(file: string): Promise<Connection> {
  try {
    if (statSync(file).size > MAX_FILE_BYTES) throw new Error(`it is larger than ${MAX_FILE_BYTES} bytes`)
    const config = fieldsOf(await parse(readFileSync(file, 'utf8')), 'kubeconfig')
    const context = entryOf(
      config,
      'contexts',
      'context',
      textOf(config['current-context'], 'current-context'),
    )
    const cluster = entryOf(config, 'clusters', 'cluster', textOf(context['cluster'], 'cluster'))
    const user = entryOf(config, 'users', 'user', textOf(context['user'], 'user'))
    return connect(cluster, user, dirname(file))
  } catch (error) {
    throw new KmeshError(`cannot use kubeconfig ${file}: ${messageOf(error)}`, {
      code: 'BadKubeconfig',
      cause: error,
    })
  }
}

/** What a parser says quotes the text, and so the token. */
async function parse(text: string): Promise<unknown> {
  const isJson = /^\s*\{/.test(text)
  try {
    return isJson ? JSON.parse(text) : (await import('js-yaml')).load(text)
  } catch {
    throw new Error(`it is no ${isJson ? 'JSON' : 'YAML'}`)
  }
}

function entryOf(config: Fields, list: string, kind: string, name: string | null): Fields {
  const found = objectsOf(config[list], list).find((entry) => entry['name'] === name)
  if (found === undefined) throw new Error(`${list} has no '${name}'`)
  return fieldsOf(found[kind], `${kind} ${name}`)
}

function connect(cluster: Fields, user: Fields, folder: string): Connection {
  const text = (fields: Fields, name: string): string => textOf(fields[name], name) ?? ''
  const bytes = (fields: Fields, name: string): Buffer | undefined => {
    const file = text(fields, name)
    if (file !== '') return readFileSync(resolve(folder, file))
    const data = text(fields, `${name}-data`)
    return data === '' ? undefined : Buffer.from(data, 'base64')
  }
  for (const name of ['exec', 'auth-provider']) {
    if (user[name] !== undefined)
      throw new Error(`user.${name} is not supported here: use a token or a certificate`)
  }
  if (text(cluster, 'proxy-url') !== '') throw new Error('cluster.proxy-url is not supported here')
  const server = new URL(text(cluster, 'server'))
  const isInsecure = cluster['insecure-skip-tls-verify'] === true
  if (server.protocol !== 'https:' && !(server.protocol === 'http:' && isInsecure)) {
    throw new Error(`the server ${server.origin} is asked without TLS`)
  }
  const tokenFile = text(user, 'tokenFile')
  const token =
    tokenFile === '' ? text(user, 'token') : readFileSync(resolve(folder, tokenFile), 'utf8').trim()
  const serverName = text(cluster, 'tls-server-name')
  const options = {
    ca: bytes(cluster, 'certificate-authority'),
    cert: bytes(user, 'client-certificate'),
    key: bytes(user, 'client-key'),
    rejectUnauthorized: !isInsecure,
    headers: {accept: 'application/json', ...(token === '' ? {} : {authorization: `Bearer ${token}`})},
    ...(serverName === '' ? {} : {servername: serverName}),
  }
  return {server, options: options as RequestOptions}
}

async function getJson({server, options}: Connection, path: string, timeoutMs: number): Promise<unknown> {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const response = await send(server, path, {...options, signal, agent: false})
    const text = await textOfBody(response)
    if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
    return JSON.parse(text)
  } catch (error) {
    if (signal.aborted) throw new TimeoutError(`no answer of ${server.origin} within ${timeoutMs} ms`)
    throw new UnreachableError('request', `${server.origin}: ${messageOf(error)}`, {cause: error})
  }
}

async function send(server: URL, path: string, options: RequestOptions): Promise<IncomingMessage> {
  const {request} = server.protocol === 'https:' ? await import('node:https') : await import('node:http')
  return new Promise((done, reject) => {
    const url = `${server.origin}${server.pathname.replace(/\/$/, '')}${path}`
    request(url, options).once('response', done).on('error', reject).end()
  })
}

async function textOfBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Labels and annotations are texts, so that the rule can be trusted with it. */
function checked<T>(value: unknown, what: string): T {
  const metadata = isFields(value) ? value['metadata'] : undefined
  if (!isFields(metadata)) throw new UnreachableError('decode', `${what}: the answer is no such object`)
  for (const name of ['labels', 'annotations']) {
    const texts = Object.values(fieldsOf(metadata[name], `${what}: ${name}`))
    if (!texts.every((text) => typeof text === 'string')) {
      throw new UnreachableError('decode', `${what}: ${name} are not all texts`)
    }
  }
  return value as T
}
