// SPDX-License-Identifier: Apache-2.0
import {DaemonError, KmeshError} from '../errors.ts'
import type {DaemonMode, VersionReply} from '../model/api.ts'
import {type Dialect, guessDialect} from '../model/dialect.ts'
import type {Admin} from '../ports.ts'

/**
 * Asks a daemon who it is.
 *
 * @throws KmeshError `UnsupportedDialect`, naming what was found.
 */
export async function readDialect(admin: Admin, signal: AbortSignal): Promise<Dialect> {
  const version = await readVersion(admin, signal)
  const guess = guessDialect(version)
  if (guess === 'unsupported') throw unsupported(`Kmesh ${version.gitVersion}`)
  if (guess === 'probe' && (await admin.head('/connection_metrics', {signal})) !== 405) {
    throw unsupported(`Kmesh ${version.gitVersion} without /connection_metrics (older than v1.1)`)
  }
  return {
    name: guess === 'own' ? 'own' : 'go',
    version,
    mode: version.mode ?? null,
    capabilities: version.capabilities ?? [],
  }
}

/** The mode: said by the daemon, or told by which of the two config dumps it answers (400: the other mode). */
export async function readMode(
  admin: Admin,
  dialect: Dialect,
  signal: AbortSignal,
): Promise<DaemonMode | null> {
  if (dialect.mode !== null) return dialect.mode
  if ((await admin.head('/debug/config_dump/dual-engine', {signal})) === 200) return 'dual-engine'
  if ((await admin.head('/debug/config_dump/kernel-native', {signal})) === 200) return 'kernel-native'
  return null
}

async function readVersion(admin: Admin, signal: AbortSignal): Promise<VersionReply> {
  try {
    return await admin.call('version', {}, {signal})
  } catch (error) {
    if (error instanceof DaemonError && error.status === 404) {
      throw unsupported('a daemon without /version (Kmesh v0.5 or older)')
    }
    throw error
  }
}

function unsupported(found: string): KmeshError {
  return new KmeshError(`${found} speaks an admin API that this kmeshctl does not know`, {
    code: 'UnsupportedDialect',
    hints: ['supported are Kmesh v1.2, v1.3 and main, and the agent of this project'],
  })
}
