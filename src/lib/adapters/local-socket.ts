// SPDX-License-Identifier: Apache-2.0
/** A unix socket for root: in a folder of mode 0700, itself 0600, and other peers are hung up on. */
import {chmodSync, lstatSync, mkdirSync, rmSync, statSync} from 'node:fs'
import {connect, type Server, type Socket} from 'node:net'
import {join} from 'node:path'
import koffi from 'koffi'
import {ConflictError, KmeshError, messageOf} from '../errors.ts'

const SOL_SOCKET = 1
const SO_PEERCRED = 17
/** struct ucred: pid, uid, gid. */
const UCRED_BYTES = 12
const PROBE_MS = 1000

export interface LocalSocket {
  readonly path: string
  /**
   * Returns when the server listens. The socket of a process that is dead is replaced.
   * @param onRefused - a peer of that user was hung up on
   * @throws ConflictError `CniSocketInUse`; KmeshError `RunDirectory`, `CniSocket`
   */
  listen(server: Server, onRefused: (uid: number | undefined) => void): Promise<void>
}

/** @param directory - is made when it is missing */
export function createLocalSocket(directory: string, name: string): LocalSocket {
  const path = join(directory, name)
  return {
    path,
    listen: async (server, onRefused) => {
      prepare(directory)
      await removeStale(path)
      const peerUid = peerUids()
      server.prependListener('connection', (socket: Socket) => refuseOthers(socket, peerUid, onRefused))
      await listen(server, path)
      chmodSync(path, 0o600)
    },
  }
}

function prepare(directory: string): void {
  try {
    mkdirSync(directory, {recursive: true, mode: 0o700})
    const {uid} = statSync(directory)
    if (uid !== 0 && uid !== process.geteuid?.()) throw new Error(`it belongs to user ${uid}`)
    chmodSync(directory, 0o700)
  } catch (error) {
    throw new KmeshError(`cannot use ${directory} for the CNI socket: ${messageOf(error)}`, {
      code: 'RunDirectory',
      hints: ['choose another one with --run-dir'],
      cause: error,
    })
  }
}

/** A socket whose process is dead refuses; one that takes the connection is in use. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, {throwIfNoEntry: false})
  if (found === undefined) return
  if (!found.isSocket()) {
    throw new KmeshError(`${path} is no socket: it is left alone`, {
      code: 'CniSocket',
      hints: ['remove it, or choose another folder with --run-dir'],
    })
  }
  if (await isLive(path)) {
    throw new ConflictError(`another process serves ${path}`, {code: 'CniSocketInUse'})
  }
  rmSync(path, {force: true})
}

function isLive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(path)
    // One that neither takes nor refuses is held by somebody.
    probe.setTimeout(PROBE_MS, () => end(true))
    probe.once('connect', () => end(true))
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') end(false)
      else if (error.code === 'EAGAIN') end(true)
      else reject(error)
    })
    const end = (answer: boolean): void => {
      probe.destroy()
      resolve(answer)
    }
  })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void =>
      reject(new KmeshError(`cannot serve ${path}: ${messageOf(error)}`, {code: 'CniSocket', cause: error}))
    server.once('error', failed)
    server.listen(path, () => {
      server.off('error', failed)
      resolve()
    })
  })
}

function refuseOthers(
  socket: Socket,
  peerUid: (descriptor: number) => number | undefined,
  onRefused: (uid: number | undefined) => void,
): void {
  const descriptor = (socket as unknown as {_handle?: {fd?: number}})._handle?.fd
  const uid = descriptor === undefined ? undefined : peerUid(descriptor)
  if (uid === 0 || (uid !== undefined && uid === process.geteuid?.())) return
  onRefused(uid)
  socket.destroy()
}

/** What the kernel says who connected; Node has no call for it. */
function peerUids(): (descriptor: number) => number | undefined {
  const getsockopt = koffi
    .load('libc.so.6')
    .func('int getsockopt(int fd, int level, int option, void* value, void* length)')
  return (descriptor) => {
    const credentials = new Uint8Array(UCRED_BYTES)
    const length = Uint32Array.of(UCRED_BYTES)
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0) return undefined
    return new DataView(credentials.buffer).getUint32(4, true)
  }
}
