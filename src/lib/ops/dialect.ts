// SPDX-License-Identifier: Apache-2.0
/** Finds out which admin API a daemon speaks and in which mode it runs, once for each daemon and run. */
import {DaemonError, KmeshError, UnreachableError} from '../errors.ts'
import type {DaemonMode, VersionReply} from '../model/api.ts'
import {
  type Dialect,
  type DialectName,
  dialectByLoggers,
  dialectOf,
  guessDialect,
  versionText,
} from '../model/dialect.ts'
import type {Admin} from '../ports.ts'

const MODES: readonly DaemonMode[] = ['dual-engine', 'kernel-native']
const PROBE_PATH = '/connection_metrics'

/**
 * Asks a daemon who it is.
 *
 * @throws KmeshError `UnsupportedDialect`, naming what was found.
 */
export function readDialect(admin: Admin, signal: AbortSignal): Promise<Dialect> {
  return admin.once('dialect', async () => {
    const version = await readVersion(admin, signal)
    if (version === null) return dialectOf(await askLoggers(admin, signal), null)
    const guess = guessDialect(version)
    return dialectOf(guess === 'probe' ? await probe(admin, version, signal) : guess, version)
  })
}

/** The mode: said by the daemon, or told by which of the two config dumps it answers. Null: neither. */
export async function readMode(
  admin: Admin,
  dialect: Dialect,
  signal: AbortSignal,
): Promise<DaemonMode | null> {
  if (dialect.mode !== null) return dialect.mode
  return admin.once('mode', async () => {
    for (const mode of MODES) {
      if ((await statusOf(admin, dialect.row.configDump[mode], signal)) === 200) return mode
    }
    return null
  })
}

/** @throws KmeshError `ModeUnknown` */
export async function requireMode(admin: Admin, dialect: Dialect, signal: AbortSignal): Promise<DaemonMode> {
  const mode = await readMode(admin, dialect, signal)
  if (mode !== null) return mode
  throw new KmeshError(`${versionText(dialect)} answers neither mode's config dump: it has no data plane`, {
    code: 'ModeUnknown',
  })
}

/** 200 or 400 of a HEAD request, which costs no dump on the wire; a GET that is dropped where HEAD fails. */
async function statusOf(admin: Admin, path: string, signal: AbortSignal): Promise<number> {
  try {
    const status = await admin.head(path, {signal})
    if (status === 200 || status === 400 || status === 404) return status
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof UnreachableError) || error.phase === 'connect') throw error
  }
  return admin.peek(path, {signal})
}

/** Null where there is no `/version`: before v1.0. */
async function readVersion(admin: Admin, signal: AbortSignal): Promise<VersionReply | null> {
  try {
    return await admin.call('version', {}, {signal})
  } catch (error) {
    if (error instanceof DaemonError && error.status === 404) return null
    throw error
  }
}

/** A build without a release number: what its paths tell. v1.1 and v1.2 cannot be told apart so. */
async function probe(admin: Admin, version: VersionReply, signal: AbortSignal): Promise<DialectName> {
  const status = await admin.head(PROBE_PATH, {signal})
  // Builds that tell the toggle's state may answer HEAD too.
  if (status === 405 || status === 200) return 'v1.2'
  if (status === 404) return 'v1.0'
  throw unsupported(`Kmesh ${version.gitVersion}, which answers ${status} for ${PROBE_PATH},`)
}

async function askLoggers(admin: Admin, signal: AbortSignal): Promise<DialectName> {
  const {status, text} = await admin.text('loggers', {}, {signal})
  const name = dialectByLoggers(status, text)
  if (name !== undefined) return name
  throw unsupported(`a daemon without /version, which answers ${status} for its loggers,`)
}

function unsupported(found: string): KmeshError {
  return new KmeshError(`${found} speaks an admin API that this kmeshctl does not know`, {
    code: 'UnsupportedDialect',
    hints: ['supported are Kmesh v0.4 to v1.2 and main, and the agent of this project'],
  })
}
