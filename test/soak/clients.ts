// SPDX-License-Identifier: Apache-2.0
/** Clients that connect until they are told to stop: one in an enrolled pod, one in a pod outside as control group. */
import type {ChildProcess} from 'node:child_process'
import {join} from 'node:path'
import type {Pod} from '../../src/lib/model/kube.ts'
import type {Connections, Sandbox} from '../e2e/harness.ts'

const ECHO = join(import.meta.dirname, '../../dist/echo.js')

export interface Client {
  readonly what: string
  readonly isEnrolled: boolean
  readonly process: ChildProcess
  readonly output: Promise<string>
}

export type Result = Client & {readonly sums: Connections}

/** Pods for {@link connect}, in the namespace `shop`; the second one never is in the mesh. */
export function clientPods(node: string): Pod[] {
  return [sleeper('enrolled', node, {}), sleeper('outside', node, {'istio.io/dataplane-mode': 'none'})]
}

function sleeper(name: string, nodeName: string, labels: Readonly<Record<string, string>>): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {name, namespace: 'shop', labels},
    spec: {
      nodeName,
      terminationGracePeriodSeconds: 1,
      containers: [{name: 'main', image: 'sandbox/host', command: ['sleep', 'infinity']}],
    },
  } as Pod
}

export function connect(
  sandbox: Sandbox,
  pod: 'enrolled' | 'outside',
  address: string,
  everyMs: number,
): Client {
  const command = [process.execPath, ECHO, 'connect', address, '80', '--every', String(everyMs), '--quiet']
  const place = ['sandbox', 'exec', '--name', sandbox.name, '-n', 'shop', pod, '--']
  const child = sandbox.spawn(...place, ...command)
  const output = new Promise<string>((resolve) => {
    let text = ''
    child.stdout?.on('data', (chunk) => (text += chunk))
    child.stderr?.on('data', (chunk) => (text += chunk))
    child.once('close', () => resolve(text))
  })
  return {what: `${pod} to ${address}`, isEnrolled: pod === 'enrolled', process: child, output}
}

/** Stops it; what it counted. */
export async function resultOf(client: Client): Promise<Result> {
  client.process.kill('SIGTERM')
  const text = await client.output
  return {...client, sums: JSON.parse(text.trim().split('\n').at(-1) ?? '') as Connections}
}

/** Errors of enrolled pods that pods outside the mesh do not see. */
export function ownErrors(results: readonly Result[]): string[] {
  const errors = (isEnrolled: boolean): string[] =>
    results.filter((one) => one.isEnrolled === isEnrolled).flatMap(({sums}) => Object.keys(sums.messages))
  const others = errors(false)
  return errors(true).filter((message) => !others.includes(message))
}

export function describe({what, sums}: Result): string {
  return `${what}: ${sums.connections} connections, ${sums.errors} errors ${JSON.stringify(sums.messages)}`
}
