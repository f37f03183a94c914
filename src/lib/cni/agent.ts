// SPDX-License-Identifier: Apache-2.0
/** What the agent says about a pod: in time, later, or with a reason why not. */
import {messageOf} from '../errors.ts'
import {CNI_PATHS, type CniAddReply, type CniPodRequest} from '../model/cni.ts'
import {type Fields, isFields} from '../model/hostile.ts'
import type {Config} from './config.ts'
import type {CniParts, SocketAnswer} from './parts.ts'

/** One request; a second one may reach an agent that answers. */
const ATTEMPT_MS = 2000
const SHOWN_TEXT = 500

export type Reply =
  | {readonly kind: 'done'; readonly reply: CniAddReply}
  /** Not there, starting or busy: may pass. */
  | {readonly kind: 'away'; readonly message: string}
  /** It is there and cannot do it. */
  | {readonly kind: 'refused'; readonly code: string; readonly message: string}

/** Asks once. Never throws. */
export async function askForPod(
  action: 'add' | 'check',
  request: CniPodRequest,
  {socket}: Config,
  parts: CniParts,
  leftMs: number,
): Promise<Reply> {
  try {
    const timeoutMs = Math.max(1, Math.min(ATTEMPT_MS, leftMs))
    return replyOf(await parts.ask(socket, CNI_PATHS[action], request, timeoutMs))
  } catch (error) {
    return {kind: 'away', message: messageOf(error)}
  }
}

function replyOf({status, body}: SocketAnswer): Reply {
  const fields: Fields = isFields(body) ? body : {}
  if (status === 200) {
    const {enrolled, rule, cookie} = fields
    if (typeof enrolled === 'boolean' && typeof rule === 'string') {
      return {kind: 'done', reply: {enrolled, rule, cookie: typeof cookie === 'string' ? cookie : null}}
    }
    return {kind: 'away', message: 'the agent answered something that is not understood'}
  }
  const {code, message} = refusalOf(fields, status)
  return status === 503 ? {kind: 'away', message} : {kind: 'refused', code, message}
}

/** Code and message of an error answer, cut to what fits a line. */
export function refusalOf(fields: Fields, status: number): {code: string; message: string} {
  const error = isFields(fields['error']) ? fields['error'] : {}
  const {code, message} = error
  return {
    code: typeof code === 'string' ? code.slice(0, SHOWN_TEXT) : `Http${status}`,
    message: typeof message === 'string' ? message.slice(0, SHOWN_TEXT) : `the agent answered ${status}`,
  }
}
