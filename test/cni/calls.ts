// SPDX-License-Identifier: Apache-2.0
/** Calls of the executed plugin without an agent: by hand what goes in, checked for the shape of the protocol what comes out. */
import assert from 'node:assert/strict'
import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after} from 'node:test'
import {execPlugin, type PluginRun, PREV_RESULT} from './exec-plugin.ts'

const folder = mkdtempSync(join(tmpdir(), 'kmt-cni-protocol-'))
after(() => rmSync(folder, {recursive: true}))

export const logFile = join(folder, 'kmesh-cni.log')
export const VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']
export const CONTAINER = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
}
/** Nobody answers here; without pod arguments nobody is asked. */
const BASE = {
  name: 'net',
  type: 'kmesh-cni',
  socket: join(folder, 'no.sock'),
  logFile,
  cache: join(folder, 'no.json'),
}

export type Env = Readonly<Record<string, string>>

export function run(command: string, input: string | Uint8Array, env: Env = CONTAINER): Promise<PluginRun> {
  return execPlugin({logFile, input, env: {CNI_COMMAND: command, ...env}})
}

export function config(change: object = {}, prevResult: string | null = PREV_RESULT): string {
  const text = JSON.stringify({cniVersion: '1.1.0', ...BASE, ...change})
  return prevResult === null ? text : `${text.slice(0, -1)},"prevResult":${prevResult}}`
}

/** Status, code of the error (0 without), and that an error has the shape of the specification. */
export function codeOf({status, stdout, stderr}: PluginRun): number {
  assert.equal(stderr, '')
  if (status === 0) return 0
  assert.equal(status, 1)
  const error = JSON.parse(stdout) as Record<string, unknown>
  assert.ok(VERSIONS.includes(String(error['cniVersion'])))
  assert.equal(typeof error['msg'], 'string')
  for (const field of Object.keys(error)) assert.ok(['cniVersion', 'code', 'msg', 'details'].includes(field))
  return Number(error['code'])
}
