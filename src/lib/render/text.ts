// SPDX-License-Identifier: Apache-2.0
/** Text from clusters and daemons, made safe and short for a terminal. */

/** CSI, OSC, DCS and two-character escape sequences, in their 7 bit and 8 bit forms. */
const ESCAPES =
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]?/g
/** Other control characters, and those that reorder or hide text. */
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff]+/g

/** Nothing of the above in it. */
const SAFE = /^[ -~]*$/

/** One line without escape sequences and control characters; line breaks and tabs become a blank. */
export function clean(text: string): string {
  if (SAFE.test(text)) return text.trim()
  return text.replace(ESCAPES, '').replace(CONTROLS, ' ').trim()
}

/** JSON text without the 8 bit control characters and line separators that JSON.stringify leaves as they are. */
export function escapeJsonText(json: string): string {
  return json.replace(
    /[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** `1 pod`, `2 pods`. */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`
}

/** `37s`, `5m12s`, `3h5m`, `5d2h`, as kubectl shows ages. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10) return withRest(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 8) return withRest(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  const days = Math.floor(hours / 24)
  return days < 8 ? withRest(days, 'd', hours % 24, 'h') : `${days}d`
}

function withRest(number: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${number}${unit}` : `${number}${unit}${rest}${restUnit}`
}
