// SPDX-License-Identifier: Apache-2.0
/**
 * Tokens that stand in a file: the account of a pod, and `tokenFile` of a kubeconfig. A kubelet replaces the file
 * before its token expires, so it is read each time that credentials are asked for. client-node keeps a token for a
 * minute by the wall clock, which a clock that goes back makes hours, and does not know the kubeconfig's field.
 */
import {readFileSync} from 'node:fs'
import type {User} from '@kubernetes/client-node'

/** As client-node has it for the account of a pod. */
const PROVIDER = 'tokenFile'

type TokenConfig = {readonly tokenFile?: unknown} | undefined

/** The path, where the user's token stands in a file. */
export function tokenFileOf(user: User): string | undefined {
  if (user.authProvider?.name !== PROVIDER) return undefined
  const path = (user.authProvider.config as TokenConfig)?.tokenFile
  return typeof path === 'string' && path !== '' ? path : undefined
}

/** Users of a kubeconfig with the `tokenFile` of their entries; as with kubectl it goes before `token`. */
export function withTokenFiles(
  users: readonly User[],
  entries: unknown,
  absolute: (path: string) => string,
): User[] {
  const files = new Map<unknown, string>()
  for (const entry of Array.isArray(entries) ? entries : []) {
    const {name, user} = (entry ?? {}) as {name?: unknown; user?: TokenConfig}
    if (typeof user?.tokenFile === 'string' && user.tokenFile !== '')
      files.set(name, absolute(user.tokenFile))
  }
  return users.map((user) => {
    const file = files.get(user.name)
    return file === undefined ? user : {...user, authProvider: {name: PROVIDER, config: {tokenFile: file}}}
  })
}

/** @throws what node:fs does, naming the file */
export function readToken(file: string): string {
  const token = readFileSync(file, 'utf8').trim()
  if (token === '') throw new Error(`${file} is empty`)
  return token
}
