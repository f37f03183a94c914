// SPDX-License-Identifier: Apache-2.0
/** Runs kmesh-cni as a container runtime does: variables, a configuration on stdin, an answer on stdout. */
import {spawn} from 'node:child_process'
import {join} from 'node:path'

const root = join(import.meta.dirname, '../..')
export const BUNDLE = process.env['KMESH_CNI_TEST_BUNDLE'] ?? join(root, 'dist/kmesh-cni.mjs')
/** The launcher always runs dist/. */
export const LAUNCHER = join(root, 'bin/kmesh-cni')

export interface PluginRun {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  readonly tookMs: number
}

export interface PluginCall {
  /** The whole environment but CNI_*. */
  readonly logFile: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string | Uint8Array
  /** Instead of Node with the bundle. */
  readonly program?: string | undefined
  /** stdin stays open without a byte. */
  readonly keepOpen?: boolean
}

export function execPlugin({logFile, env, input, program, keepOpen}: PluginCall): Promise<PluginRun> {
  const startMs = performance.now()
  // A kubelet gives hardly anything else.
  const child = spawn(program ?? process.execPath, program === undefined ? [BUNDLE] : [], {
    env: {KMESH_CNI_LOG_FILE: logFile, ...env},
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  // It may end before it has read everything.
  child.stdin.on('error', () => undefined)
  if (keepOpen !== true) child.stdin.end(input ?? '')
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => {
      child.stdin.destroy()
      resolve({status, stdout, stderr, tookMs: performance.now() - startMs})
    })
  })
}

/** CNI_ARGS as containerd gives them. */
export function podArgs(namespace: string, name: string, uid: string): string {
  return `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=${uid}`
}

/** What bridge would have answered; numbers and escapes in forms that a parser would change. */
export const PREV_RESULT =
  '{ "cniVersion" : "1.0.0","ips":[ {"address": "10.244.0.7/24" ,"interface":2.0}],\n  "zzz": {"big":12345678901234567890,"e":1E+2,"minus":-0.0}, "dns":{},"a":"\\u00e9\\/\u00e9" }'
