// SPDX-License-Identifier: Apache-2.0
/** A process in each client pod that connects when told: 200 cases then cost no 200 starts of Node. */
import {type ChildProcess, spawn} from 'node:child_process'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import type {TracedConnection} from '../../src/lib/model/path-trace.ts'
import {KMESHCTL, type Sandbox} from './harness.ts'

const CONNECTOR = join(import.meta.dirname, 'path-connector.mjs')

export interface Order {
  readonly host: string
  readonly port: number
  readonly count: number
  readonly timeoutMs: number
}

export class Connector {
  private readonly child: ChildProcess
  private readonly waiting = new Map<number, (connections: readonly TracedConnection[]) => void>()
  private readonly ended: Promise<never>
  private next = 0

  constructor(sandbox: Sandbox, namespace: string, pod: string) {
    const place = ['sandbox', 'exec', '--name', sandbox.name, '-n', namespace, pod]
    this.child = spawn(KMESHCTL, [...place, '--', process.execPath, CONNECTOR], {
      env: sandbox.env,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.ended = new Promise((_, reject) => {
      this.child.once('exit', (code) => reject(new Error(`connector of ${namespace}/${pod} ended: ${code}`)))
    })
    this.ended.catch(() => undefined)
    if (this.child.stdout === null) throw new Error('the connector has no output')
    createInterface({input: this.child.stdout}).on('line', (line) => {
      const {id, connections} = JSON.parse(line)
      this.waiting.get(id)?.(connections)
      this.waiting.delete(id)
    })
  }

  connect(order: Order): Promise<readonly TracedConnection[]> {
    const id = this.next++
    const answer = new Promise<readonly TracedConnection[]>((resolve) => {
      this.waiting.set(id, resolve)
    })
    this.child.stdin?.write(`${JSON.stringify({id, ...order})}\n`)
    return Promise.race([answer, this.ended])
  }

  close(): void {
    this.child.stdin?.end()
    this.child.kill()
  }
}
