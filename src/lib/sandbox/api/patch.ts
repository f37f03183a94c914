// SPDX-License-Identifier: Apache-2.0
/** Patches, by the content type of the request. */
import jsonPatch from 'fast-json-patch'
import {parseJson} from './decode.ts'
import {type Fields, isFields} from './object.ts'
import {badRequest, StatusError, unsupportedMediaType} from './status.ts'
import {strategicMerge} from './strategic-merge.ts'

/**
 * `document` after the patch; it is not changed itself.
 * @throws StatusError 400 (broken patch), 415 (kind of patch), 422 (JSON patch that does not fit)
 */
export function applyPatch(contentType: string, body: string, document: object): unknown {
  const type = contentType.split(';')[0]?.trim() ?? ''
  if (type === 'application/json-patch+json') return applyJsonPatch(parseJson(body), document)
  if (type === 'application/merge-patch+json') return mergePatch(document, patchObject(body))
  if (type === 'application/strategic-merge-patch+json') return strategicMerge(document, patchObject(body))
  throw unsupportedMediaType(
    `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json; got "${type}"`,
  )
}

function patchObject(body: string): Fields {
  const patch = parseJson(body)
  if (!isFields(patch)) throw badRequest('the patch must be a JSON object')
  return patch
}

const OPERATIONS_MAX = 10_000

function applyJsonPatch(patch: unknown, document: object): unknown {
  if (!Array.isArray(patch) || !patch.every((operation) => isFields(operation))) {
    throw badRequest('a JSON patch must be a list of operations')
  }
  if (patch.length > OPERATIONS_MAX) {
    throw new StatusError(
      413,
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${OPERATIONS_MAX}, got ${patch.length}`,
    )
  }
  try {
    return operated(document, patch as unknown as jsonPatch.Operation[])
  } catch (thrown) {
    const why = thrown instanceof Error ? (thrown.message.split('\n')[0] ?? '') : String(thrown)
    const message = `the server rejected our request due to an error in our request: ${why}`
    throw new StatusError(422, 'Invalid', message, {})
  }
}

/** A few copies of copies would fill the memory. */
const COPY_MAX_LENGTH = 3 << 20

function operated(document: object, operations: readonly jsonPatch.Operation[]): unknown {
  let result: unknown = structuredClone(document)
  for (const operation of operations) {
    result = jsonPatch.applyOperation(result, operation, true).newDocument
    if (operation.op === 'copy' && JSON.stringify(result).length > COPY_MAX_LENGTH) {
      throw new Error('the copies of the patch are too large')
    }
  }
  return result
}

/** RFC 7396. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return patch
  const result = new Map(Object.entries(isFields(target) ? target : {}))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key)
    else result.set(key, mergePatch(result.get(key), value))
  }
  return Object.fromEntries(result)
}
