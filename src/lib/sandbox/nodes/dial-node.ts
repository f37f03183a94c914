// SPDX-License-Identifier: Apache-2.0
/** The API server's way to a node: TLS from inside the node's namespace to its kubelet. */
import type {Duplex} from 'node:stream'
import {connect} from 'node:tls'
import {KmeshError} from '../../errors.ts'
import type {KeyPair} from '../pki.ts'
import type {NodeRecord} from '../state.ts'
import {KUBELET_PORT} from './node-object.ts'
import type {Sockets} from './sockets.ts'

const TIMEOUT_MS = 5000

/** The stream is ready for HTTP/1.1. Rejects where the node is unknown or does not answer. */
export function nodeDialer(
  nodes: readonly NodeRecord[],
  sockets: Sockets,
  authorityPem: string,
  client: KeyPair,
): (name: string) => Promise<Duplex> {
  return async (name) => {
    const node = nodes.find((entry) => entry.name === name)
    const host = node?.addresses[0]
    if (node === undefined || host === undefined) {
      throw new KmeshError(`the sandbox runs no node "${name}"`, {code: 'NoSuchNode'})
    }
    const socket = sockets.connect(node.networkNamespace, host, KUBELET_PORT)
    const stream = connect({
      socket,
      servername: name,
      ca: authorityPem,
      cert: client.certificatePem,
      key: client.keyPem,
    })
    return await new Promise<Duplex>((resolve, reject) => {
      const fail = (error: Error): void => {
        stream.destroy()
        socket.destroy()
        reject(error)
      }
      const expired = AbortSignal.timeout(TIMEOUT_MS)
      const onExpired = (): void => fail(new Error(`node ${name}: no answer within ${TIMEOUT_MS} ms`))
      expired.addEventListener('abort', onExpired)
      stream.once('error', fail)
      socket.once('error', fail)
      stream.once('secureConnect', () => {
        expired.removeEventListener('abort', onExpired)
        stream.off('error', fail)
        // From here on its user listens.
        resolve(stream)
      })
    })
  }
}
