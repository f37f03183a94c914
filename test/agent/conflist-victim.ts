// SPDX-License-Identifier: Apache-2.0
/**
 * A keeper of a conflist in a process of its own, which kills itself (SIGKILL) in the middle of the write of a number.
 * conflist-victim.ts FOLDER start|stop|uninstall NUMBER; prints how many writes there were when it lives.
 */
import fs from 'node:fs'
import {syncBuiltinESMExports} from 'node:module'
import {ConflistNode} from './conflist-fixture.ts'

const [folder = '', phase = '', number = '0'] = process.argv.slice(2)
const SYNC = [
  'openSync',
  'writeFileSync',
  'fchmodSync',
  'fchownSync',
  'chmodSync',
  'utimesSync',
  'fsyncSync',
  'renameSync',
  'rmSync',
  'rmdirSync',
  'mkdirSync',
] as const
let count = 0
let isCounting = false

type Call = (...args: unknown[]) => unknown

/** The call before was the last one that was made whole; of this one half of the bytes arrive. */
function at(name: string, args: unknown[]): void {
  const isRead = name === 'openSync' && (typeof args[1] !== 'string' || args[1] === 'r')
  if (!isCounting || isRead) return
  count += 1
  if (count !== Number(number)) return
  if (name === 'writeFileSync') half(args[0] as number, args[1] as string | Uint8Array)
  if (name === 'copyFile')
    half(originals.openSync(args[1] as string, 'w'), originals.readFileSync(args[0] as string))
  process.kill(process.pid, 'SIGKILL')
}

const originals = {openSync: fs.openSync, readFileSync: fs.readFileSync, writeFileSync: fs.writeFileSync}

function half(descriptor: number, bytes: string | Uint8Array): void {
  originals.writeFileSync(descriptor, bytes.slice(0, bytes.length / 2))
}

const functions = fs as unknown as Record<string, Call>
for (const name of SYNC) {
  const original = functions[name] as Call
  functions[name] = (...args) => {
    at(name, args)
    return original(...args)
  }
}
const promises = fs.promises as unknown as Record<string, Call>
const copyFile = promises['copyFile'] as Call
promises['copyFile'] = (...args) => {
  at('copyFile', args)
  return copyFile(...args)
}
syncBuiltinESMExports()

const node = new ConflistNode({}, folder)
isCounting = phase === 'start'
const keeper = phase === 'uninstall' ? undefined : await node.started()
isCounting = true
if (phase === 'stop') await keeper?.stop()
if (phase === 'uninstall') node.uninstall()
process.stdout.write(`${count}\n`)
