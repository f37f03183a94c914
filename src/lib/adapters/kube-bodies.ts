// SPDX-License-Identifier: Apache-2.0
/** Bytes of answers. */

/** @param bytes - undefined for what is known to be none. @throws SyntaxError, TypeError for bytes that are no JSON in UTF-8 */
export function parseJson(bytes: Uint8Array | undefined): unknown {
  return JSON.parse(new TextDecoder().decode(bytes))
}
