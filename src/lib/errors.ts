// SPDX-License-Identifier: Apache-2.0

/** Exit statuses that scripts may rely on, the same in every output format; docs/exit-codes.md has the table. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  findings: 3,
  partial: 4,
  timeout: 5,
  denied: 6,
  conflict: 7,
  hangUp: 129,
  interrupted: 130,
  terminated: 143,
} as const

export interface KmeshErrorOptions {
  /** Stable PascalCase name for scripts: match on this, never on the message. */
  readonly code?: string
  readonly exitCode?: number
  /** What the operator can do next, printed as `hint:` lines. */
  readonly hints?: readonly string[]
  /** Name of the parameter that was wrong, where one was. */
  readonly parameter?: string
  readonly cause?: unknown
}

/** Base of every error that we raise on purpose. Anything else that reaches the top is a bug of ours. */
export class KmeshError extends Error {
  override readonly name: string = 'KmeshError'
  readonly code: string
  readonly exitCode: number
  readonly hints: readonly string[]
  readonly parameter: string | undefined

  constructor(message: string, options: KmeshErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : {cause: options.cause})
    this.code = options.code ?? 'Failed'
    this.exitCode = options.exitCode ?? EXIT.failure
    this.hints = options.hints ?? []
    this.parameter = options.parameter
  }
}

/** The command line is wrong: nothing was done. */
export class UsageError extends KmeshError {
  override readonly name = 'UsageError'
  constructor(message: string, options: KmeshErrorOptions = {}) {
    super(message, {code: 'Usage', exitCode: EXIT.usage, ...options})
  }
}

/** Where a request to a daemon or to the API server stood when it failed. */
export type Phase = 'find' | 'connect' | 'request' | 'read' | 'decode'

/** Cluster or daemon did not answer as it should. Retrying may help; `cause` holds the transport's error. */
export class UnreachableError extends KmeshError {
  override readonly name = 'UnreachableError'
  readonly phase: Phase
  constructor(phase: Phase, message: string, options: KmeshErrorOptions = {}) {
    super(message, {code: 'Unreachable', ...options})
    this.phase = phase
  }
}

/** A deadline passed: the state is known, the goal not reached. */
export class TimeoutError extends KmeshError {
  override readonly name = 'TimeoutError'
  readonly phase: Phase | undefined
  constructor(message: string, options: KmeshErrorOptions & {readonly phase?: Phase} = {}) {
    super(message, {code: 'Timeout', exitCode: EXIT.timeout, ...options})
    this.phase = options.phase
  }
}

/** The API server answered with a status that is no success. */
export class KubeStatusError extends KmeshError {
  override readonly name: string = 'KubeStatusError'
  readonly status: number
  /** `reason` of the Status object, for example `NotFound`; empty where the body was no Status. */
  readonly reason: string
  constructor(status: number, reason: string, message: string, options: KmeshErrorOptions = {}) {
    super(message, {code: reason || `Http${status}`, ...options})
    this.status = status
    this.reason = reason
  }
}

/** 401 or 403. `hints` names the missing rule. */
export class DeniedError extends KubeStatusError {
  override readonly name = 'DeniedError'
  constructor(status: number, reason: string, message: string, options: KmeshErrorOptions = {}) {
    super(status, reason, message, {exitCode: EXIT.denied, ...options})
  }
}

/** Somebody else changed the object between our read and our write, or holds what we need. */
export class ConflictError extends KmeshError {
  override readonly name = 'ConflictError'
  constructor(message: string, options: KmeshErrorOptions = {}) {
    super(message, {code: 'Conflict', exitCode: EXIT.conflict, ...options})
  }
}

/** A daemon answered with an error of its own: `status` is HTTP's, `code` the daemon's where it gave one. */
export class DaemonError extends KmeshError {
  override readonly name = 'DaemonError'
  readonly status: number
  constructor(status: number, message: string, options: KmeshErrorOptions = {}) {
    super(message, {code: `Http${status}`, ...options})
    this.status = status
  }
}

/** A call to the kernel failed. `errno` is positive, as in errno.h. */
export class KernelError extends KmeshError {
  override readonly name = 'KernelError'
  readonly call: string
  readonly errno: number
  constructor(call: string, errno: number, target: string, options: KmeshErrorOptions = {}) {
    super(`${call} (${target}) failed: ${errnoName(errno)}`, {code: 'Kernel', ...options})
    this.call = call
    this.errno = errno
  }
}

/** A program that we ran failed. Some, CNI plugins among them, say why on stdout. */
export class CommandError extends KmeshError {
  override readonly name = 'CommandError'
  readonly stdout: string
  constructor(message: string, stdout: string, options: KmeshErrorOptions = {}) {
    super(message, {code: 'CommandFailed', ...options})
    this.stdout = stdout
  }
}

/** Bytes do not have the layout that we know. */
export class LayoutError extends KmeshError {
  override readonly name = 'LayoutError'
  constructor(message: string, options: KmeshErrorOptions = {}) {
    super(message, {code: 'Layout', ...options})
  }
}

const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  4: 'EINTR',
  5: 'EIO',
  7: 'E2BIG',
  9: 'EBADF',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  14: 'EFAULT',
  16: 'EBUSY',
  17: 'EEXIST',
  19: 'ENODEV',
  20: 'ENOTDIR',
  22: 'EINVAL',
  28: 'ENOSPC',
  38: 'ENOSYS',
  39: 'ENOTEMPTY',
  67: 'ENOLINK',
  92: 'ENOPROTOOPT',
  95: 'EOPNOTSUPP',
  98: 'EADDRINUSE',
  99: 'EADDRNOTAVAIL',
  524: 'ENOTSUPP',
}

function errnoName(errno: number): string {
  const name = ERRNO_NAMES[errno]
  return name === undefined ? `errno ${errno}` : `${name} (${errno})`
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
