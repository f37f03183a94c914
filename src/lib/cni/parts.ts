// SPDX-License-Identifier: Apache-2.0
import type {Namespace, Pod} from '../model/kube.ts'
import type {Clock, Log} from '../ports.ts'
import type {LogSettings} from './config.ts'

export interface SocketAnswer {
  readonly status: number
  /** Parsed JSON. */
  readonly body: unknown
}

/** Reads of a cluster, each whole within `timeoutMs`. */
export interface PodReader {
  pod(namespace: string, name: string, timeoutMs: number): Promise<Pod>
  namespace(name: string, timeoutMs: number): Promise<Namespace>
}

/** The outside of the plugin. */
export interface CniParts {
  readonly clock: Clock
  /** The configuration; bounded in size and time. */
  readInput(): Promise<Uint8Array>
  /**
   * One request to the agent; without `body` a GET.
   * @throws UnreachableError, TimeoutError
   */
  ask(socket: string, path: string, body: object | undefined, timeoutMs: number): Promise<SocketAnswer>
  /** Undefined where there is no such file. @throws KmeshError where it cannot be read or is too large */
  readFile(path: string): string | undefined
  /** @throws KmeshError where the file cannot be used */
  openCluster(kubeconfig: string): PodReader
  /** Never throws: what cannot be logged goes to stderr. */
  openLog(settings: LogSettings): Log
  /** Instead of the default log file, where the environment names one. */
  readonly defaultLogFile: string | undefined
}
