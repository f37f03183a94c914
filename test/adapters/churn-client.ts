// SPDX-License-Identifier: Apache-2.0
/** Worker thread: connects to one service address without a pause until it is told to stop. */
import {closeSync} from 'node:fs'
import {parentPort, workerData} from 'node:worker_threads'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {connect, peerOf, resetOnClose, socketAddress} from './sockets.ts'

export interface ChurnData {
  readonly namespace: string
  readonly address: string
  readonly port: number
  /** One Int32: not 0 means stop. */
  readonly stop: SharedArrayBuffer
}

export interface ChurnResult {
  readonly connects: number
  readonly peers: readonly string[]
  readonly errors: readonly number[]
}

function run({namespace, address, port, stop}: ChurnData): ChurnResult {
  const netns = createNetns()
  const flag = new Int32Array(stop)
  const name = socketAddress(address, port)
  const peers = new Set<string>()
  const errors: number[] = []
  let connects = 0
  while (Atomics.load(flag, 0) === 0) {
    const fd = netns.socket(namespace, 4)
    resetOnClose(fd)
    const errno = connect(fd, name)
    if (errno === 0) peers.add(peerOf(fd))
    else errors.push(errno)
    closeSync(fd)
    connects += 1
    // Leaves the other core's work alone.
    Atomics.wait(flag, 0, 0, 1)
  }
  return {connects, peers: [...peers].sort(), errors}
}

parentPort?.postMessage(run(workerData as ChurnData))
