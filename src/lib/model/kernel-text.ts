// SPDX-License-Identifier: Apache-2.0
/** Go daemons answer 400 also where the request was fine and the kernel refused (contracts 1.9, A7). */
import {DaemonError} from '../errors.ts'

/** Texts of a daemon that could not read or write its BPF maps and globals. */
export function isKernelText(text: string): boolean {
  return /\b(update [\w ]+(failed|error): |failed to get kmeshConfigMap: |get kmesh config error: )/i.test(
    text,
  )
}

/** Code `KernelRefused` for such an answer; the daemon's text stays. Anything else as it is. */
export function kernelRefusal(error: unknown): unknown {
  if (!(error instanceof DaemonError) || error.status !== 400 || !isKernelText(error.message)) return error
  return new DaemonError(error.status, error.message, {code: 'KernelRefused'})
}
