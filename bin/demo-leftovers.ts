// SPDX-License-Identifier: Apache-2.0
/** Whose sandbox stands in the demo's way: a demo that was killed leaves its own behind. */
import {existsSync, mkdtempSync, readFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, sep} from 'node:path'

const PREFIX = 'kmeshctl-demo-'

/** A folder for one run's state; its name tells the process whose it is. */
export function makeStateHome(): string {
  return mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`))
}

export type Leftover =
  | {readonly kind: 'none'}
  /** A demo that ended without taking it down. */
  | {readonly kind: 'leftover'; readonly stateHome: string}
  | {readonly kind: 'running'; readonly pid: number}
  /** Made by somebody else than a demo. */
  | {readonly kind: 'foreign'}

/**
 * @param kubeconfig - of the sandbox that is there, as `sandbox status` tells it; undefined: none is
 * @param ownStateHome - of this run
 * @param isDemo - whether a process is a demo's
 */
export function leftoverOf(
  kubeconfig: string | undefined,
  ownStateHome: string,
  isDemo: (pid: number) => boolean = isDemoProcess,
): Leftover {
  // Remains that no longer tell where their files are: `sandbox up` takes those away itself.
  if (kubeconfig === undefined || kubeconfig.startsWith(ownStateHome + sep)) return {kind: 'none'}
  const [, stateHome, pidText] =
    /^(.*\/kmeshctl-demo-(?:(\d+)-)?\w{6})\/kmeshctl\/demo\/kubeconfig$/.exec(kubeconfig) ?? []
  if (stateHome === undefined) return {kind: 'foreign'}
  const pid = Number(pidText ?? 0)
  return pid > 0 && isDemo(pid) ? {kind: 'running', pid} : {kind: 'leftover', stateHome}
}

/** Where there is no /proc, a process of that id counts as the demo. */
function isDemoProcess(pid: number): boolean {
  if (existsSync('/proc/self/cmdline')) {
    const file = `/proc/${pid}/cmdline`
    return existsSync(file) && readFileSync(file, 'utf8').includes('demo.ts')
  }
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
