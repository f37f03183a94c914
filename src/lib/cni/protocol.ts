// SPDX-License-Identifier: Apache-2.0
/** The CNI specification's words: versions, commands, error codes, and how answers look. */

/** Older ones know no chain. */
const SUPPORTED_VERSIONS: readonly string[] = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']
const NEWEST_VERSION = '1.1.0'

export const COMMANDS = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS', 'VERSION'] as const
export type CniCommand = (typeof COMMANDS)[number]

/** The first version that knows the command. */
const FIRST_VERSION: Readonly<Record<CniCommand, string>> = {
  ADD: '0.3.0',
  CHECK: '0.4.0',
  DEL: '0.3.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
  VERSION: '0.3.0',
}

/** Codes up to 99 are the specification's. */
export const CODE = {
  incompatibleVersion: 1,
  environment: 4,
  inputOutput: 5,
  decode: 6,
  config: 7,
  tryLater: 11,
  notAvailable: 50,
  /** The agent could not enroll the pod. */
  enrollment: 100,
  /** CHECK: the kernel does not have the pod. */
  notEnrolled: 101,
  internal: 199,
} as const

/** What the runtime is told: code and message, and details for its log. */
export class CniError extends Error {
  override readonly name = 'CniError'
  readonly code: number
  readonly details: string
  constructor(code: number, message: string, details = '', cause?: unknown) {
    super(message, cause === undefined ? undefined : {cause})
    this.code = code
    this.details = details
  }
}

/** What goes to stdout, and the exit status. */
export interface Outcome {
  readonly stdout: string
  readonly exitCode: 0 | 1
}

export function success(stdout = ''): Outcome {
  return {stdout, exitCode: 0}
}

/** @param version - of the configuration, where it could be read */
export function failure({code, message, details}: CniError, version: string | undefined): Outcome {
  const error = {cniVersion: spoken(version), code, msg: message, ...(details === '' ? {} : {details})}
  return {stdout: `${JSON.stringify(error)}\n`, exitCode: 1}
}

/** Answer to VERSION: the version that was asked in, where we know it. */
export function versionAnswer(version: string | undefined): Outcome {
  return success(`${JSON.stringify({cniVersion: spoken(version), supportedVersions: SUPPORTED_VERSIONS})}\n`)
}

function spoken(version: string | undefined): string {
  return version !== undefined && SUPPORTED_VERSIONS.includes(version) ? version : NEWEST_VERSION
}

/** @throws CniError 1 */
export function checkVersion(version: string, command: CniCommand): void {
  if (!SUPPORTED_VERSIONS.includes(version)) {
    const known = `kmesh-cni knows ${SUPPORTED_VERSIONS.join(', ')}`
    throw new CniError(CODE.incompatibleVersion, `cniVersion '${version}' is not supported`, known)
  }
  const first = FIRST_VERSION[command]
  if (SUPPORTED_VERSIONS.indexOf(version) >= SUPPORTED_VERSIONS.indexOf(first)) return
  throw new CniError(
    CODE.incompatibleVersion,
    `cniVersion '${version}' has no ${command}`,
    `${command} needs a configuration of version ${first} or later`,
  )
}
