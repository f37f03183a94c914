// SPDX-License-Identifier: Apache-2.0
/** One invocation of kmesh-cni, from its variables and configuration to its answer. */
import {messageOf} from '../errors.ts'
import {CNI_PATHS} from '../model/cni.ts'
import {type Fields, isFields} from '../model/hostile.ts'
import type {Log} from '../ports.ts'
import {refusalOf} from './agent.ts'
import {type Config, logSettings, parseConfig, parseInput, versionOf} from './config.ts'
import {settlePod} from './enroll.ts'
import {commandOf, containerOf, type Environment, podOf} from './invocation.ts'
import type {CniParts} from './parts.ts'
import {
  type CniCommand,
  CniError,
  CODE,
  checkVersion,
  failure,
  type Outcome,
  success,
  versionAnswer,
} from './protocol.ts'

interface Call {
  readonly env: Environment
  readonly parts: CniParts
  command: CniCommand | undefined
  version: string | undefined
  fields: Fields
}

/** Never throws: what goes wrong is an answer of the protocol, and a line in the log. */
export async function runCni(env: Environment, parts: CniParts): Promise<Outcome> {
  const call: Call = {env, parts, command: undefined, version: undefined, fields: {}}
  try {
    return await answer(call)
  } catch (thrown) {
    const error =
      thrown instanceof CniError ? thrown : new CniError(CODE.internal, messageOf(thrown), '', thrown)
    const details = error.details === '' ? {} : {details: error.details}
    // A runtime repeats DEL until it works, and the pod's name stays taken until then: it always does.
    const isDel = call.command === 'DEL'
    openLog(call)[isDel ? 'warn' : 'error'](error.message, {code: error.code, ...details})
    return isDel ? success() : failure(error, call.version)
  }
}

async function answer(call: Call): Promise<Outcome> {
  call.command = commandOf(call.env)
  if (call.command === 'VERSION') return versionAnswer(await askedVersion(call))
  const {text, fields} = parseInput(await input(call))
  call.fields = fields
  call.version = versionOf(fields)
  checkVersion(call.version, call.command)
  return run(call, call.command, parseConfig(text, fields))
}

/** @throws CniError 5 */
function input({parts}: Call): Promise<Uint8Array> {
  return parts.readInput().catch((error: unknown) => {
    throw new CniError(CODE.inputOutput, `cannot read stdin: ${messageOf(error)}`, '', error)
  })
}

/** VERSION is answered whatever stands on stdin. */
async function askedVersion(call: Call): Promise<string | undefined> {
  try {
    return versionOf(parseInput(await input(call)).fields)
  } catch {
    return undefined
  }
}

async function run(call: Call, command: Exclude<CniCommand, 'VERSION'>, config: Config): Promise<Outcome> {
  switch (command) {
    case 'ADD':
    case 'CHECK':
      return addOrCheck(call, command, config)
    case 'DEL':
      return del(call, config)
    case 'GC':
      return collect(call, config)
    case 'STATUS':
      return status(call, config)
  }
}

async function addOrCheck(call: Call, command: 'ADD' | 'CHECK', config: Config): Promise<Outcome> {
  const container = containerOf(call.env, command)
  const {prevResult} = config
  if (prevResult === undefined) {
    const hint = 'put it behind the plugin that makes the interface, in the list of a .conflist file'
    throw new CniError(CODE.config, 'kmesh-cni cannot run standalone: there is no prevResult', hint)
  }
  const result = success(command === 'ADD' ? prevResult : '')
  const pod = podOf(call.env)
  const log = openLog(call)
  if (pod === undefined) {
    log.debug('no pod of Kubernetes: nothing to do')
    return result
  }
  const request = {...container, ...pod, network: config.name}
  await settlePod({action: command === 'ADD' ? 'add' : 'check', request, config, parts: call.parts, log})
  return result
}

async function del(call: Call, config: Config): Promise<Outcome> {
  const container = containerOf(call.env, 'DEL')
  const pod = podOf(call.env)
  const log = openLog(call)
  if (pod === undefined) log.debug('no pod of Kubernetes: nothing to do')
  else {
    const request = {...container, ...pod, network: config.name}
    await tell(call, config, CNI_PATHS.del, request)
    log.info('released')
  }
  return success()
}

async function collect(call: Call, config: Config): Promise<Outcome> {
  const {validAttachments: attachments, name: network} = config
  if (attachments === undefined) {
    throw new CniError(CODE.config, 'GC without cni.dev/valid-attachments: nothing is collected')
  }
  await tell(call, config, CNI_PATHS.gc, {network, attachments})
  openLog(call).info(`collected; ${attachments.length} attachments are valid`)
  return success()
}

/** @throws CniError 5 where the agent does not take it */
async function tell(call: Call, config: Config, path: string, body: object): Promise<void> {
  const {status: code, body: reply} = await call.parts
    .ask(config.socket, path, body, config.timeoutMs)
    .catch((error: unknown) => {
      throw new CniError(CODE.inputOutput, `the agent of the mesh is away: ${messageOf(error)}`, '', error)
    })
  if (code === 200) return
  const {message} = refusalOf(isFields(reply) ? reply : {}, code)
  throw new CniError(CODE.inputOutput, `the agent of the mesh could not do it: ${message}`)
}

/** Without an agent new pods fail, unless the policy lets them go. */
async function status(call: Call, config: Config): Promise<Outcome> {
  const problem = await problemOfAgent(call, config)
  if (problem === undefined) return success()
  if (config.failurePolicy === 'ignore') {
    openLog(call).warn(`failurePolicy ignore: ready without the agent: ${problem}`)
    return success()
  }
  throw new CniError(CODE.notAvailable, `pods of the mesh cannot start: ${problem}`)
}

async function problemOfAgent({parts}: Call, {socket, timeoutMs}: Config): Promise<string | undefined> {
  try {
    const {status: code, body} = await parts.ask(socket, CNI_PATHS.status, undefined, timeoutMs)
    const fields = isFields(body) ? body : {}
    if (code === 200 && fields['ready'] === true) return undefined
    const {message} = fields
    return typeof message === 'string' && code === 200 ? message : refusalOf(fields, code).message
  } catch (error) {
    return messageOf(error)
  }
}

/** Lines carry whose call it is, as far as it is known. */
function openLog({env, parts, command, fields}: Call): Log {
  const log = parts.openLog(logSettings(fields, parts.defaultLogFile))
  const of = {
    command,
    containerId: env['CNI_CONTAINERID'],
    netns: env['CNI_NETNS'],
    args: env['CNI_ARGS'],
  }
  const about = Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined))
  const at =
    (level: keyof Log) =>
    (message: string, more = {}): void =>
      log[level](message, {...about, ...more})
  return {trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error')}
}
