// SPDX-License-Identifier: Apache-2.0
/** Log lines of the BPF programs, out of their ring buffer (contracts 4.7). */
import {messageOf} from '../errors.ts'
import type {BpfRing, Clock, Log} from '../ports.ts'
import {CaseLog} from './case-log.ts'

const POLL_MS = 50
const RECORDS_PER_TURN = 512
const RECORD_BYTES = 260
const TEXT_OFFSET = 4
const TEXT_BYTES = 255

/** Reads until the returned function is called. */
export function followBpfLog(
  ring: BpfRing,
  clock: Clock,
  log: Log,
  onLine: (text: string) => void,
): () => void {
  const cases = new CaseLog(log, clock)
  let stopped = false
  const turn = () => {
    if (stopped) return
    let records = 0
    try {
      records = ring.drain(RECORDS_PER_TURN, (record) => {
        if (record.byteLength !== RECORD_BYTES)
          cases.warn(
            'length',
            `a log record of the BPF programs has ${record.byteLength} bytes, not ${RECORD_BYTES}`,
          )
        const text = recordText(record)
        if (text !== '') onLine(text)
      })
    } catch (error) {
      cases.warn('drain', `cannot read the log of the BPF programs: ${messageOf(error)}`)
    }
    clock.after(records === RECORDS_PER_TURN ? 0 : POLL_MS, turn)
  }
  turn()
  return () => {
    stopped = true
  }
}

/** `{u32 length with NUL; char text[255]}`; the length is not trusted. Without the newline that some lines end with. */
export function recordText(record: Uint8Array): string {
  if (record.byteLength < TEXT_OFFSET) return ''
  const wanted = new DataView(record.buffer, record.byteOffset, record.byteLength).getUint32(0, true)
  const end = Math.min(TEXT_OFFSET + Math.min(wanted, TEXT_BYTES), record.byteLength)
  const bytes = record.subarray(TEXT_OFFSET, end)
  const nul = bytes.indexOf(0)
  return new TextDecoder().decode(nul < 0 ? bytes : bytes.subarray(0, nul)).replace(/\n+$/, '')
}
