// SPDX-License-Identifier: Apache-2.0
/** A node's folders in a temporary place, and a keeper of its conflist on a clock that stands still. */
import assert from 'node:assert/strict'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {createNodeFiles} from '../../src/lib/adapters/node-files.ts'
import {createStateFiles} from '../../src/lib/adapters/state-files.ts'
import {ConflistKeeper} from '../../src/lib/agent/conflist.ts'
import type {ConflistPlaces} from '../../src/lib/agent/conflist-pass.ts'
import {uninstallCni} from '../../src/lib/agent/conflist-uninstall.ts'
import {InstallRecord} from '../../src/lib/cni/install-record.ts'
import type {KubeAccess, NodeFiles} from '../../src/lib/ports.ts'
import {type FakeClock, fakeClock} from '../fakes/clock.ts'
import {memoryLog} from './fakes.ts'

export const SIMPLE = '{\n  "name": "n",\n  "plugins": [\n    {\n      "type": "bridge"\n    }\n  ]\n}\n'
/** Types in SIMPLE with our entry. */
export const WITH_US = ['bridge', 'kmesh-cni']
const START_MS = Date.UTC(2026, 0, 1)

export class ConflistNode implements Disposable {
  readonly folder: string
  clock: FakeClock = fakeClock(START_MS)
  readonly #locks: Disposable[] = []
  readonly log = memoryLog()
  readonly places: ConflistPlaces
  access: KubeAccess = {
    server: 'https://10.96.0.1:443',
    ca: 'CA',
    serverName: undefined,
    skipsVerification: false,
    certificate: undefined,
    key: undefined,
    token: 'token-1',
  }
  /** Called as the kernel would when something in the folder has changed. */
  notify: () => void = () => undefined
  files: NodeFiles

  /** @param folder - of a node that is there already */
  constructor(more: Partial<ConflistPlaces> = {}, folder?: string) {
    this.folder = folder ?? mkdtempSync(join(tmpdir(), 'kmt-conflist-'))
    const at = (name: string): string => join(this.folder, name)
    this.places = {
      runDir: at('run'),
      etcPath: at('etc'),
      binPath: at('bin'),
      runtimePath: at('bin/.kmesh-cni'),
      conflistName: undefined,
      failurePolicy: 'fail',
      ...more,
    }
    if (folder === undefined) this.#make()
    const real = createNodeFiles()
    this.files = {
      ...real,
      lock: (directory) => {
        const lock = real.lock(directory)
        this.#locks.push(lock)
        return lock
      },
      watch: (_directory, onChange) => {
        this.notify = onChange
        return {[Symbol.dispose]: () => undefined}
      },
    }
  }

  #make(): void {
    for (const name of ['etc', 'bin', 'run', 'source']) mkdirSync(this.path(name))
    writeFileSync(this.path('source/node'), 'a Node', {mode: 0o755})
    this.put('source/kmesh-cni.mjs', 'the code')
  }

  keeper(): ConflistKeeper {
    const source = {node: join(this.folder, 'source/node'), code: join(this.folder, 'source/kmesh-cni.mjs')}
    return new ConflistKeeper({...this.#parts(), source, clock: this.clock, access: async () => this.access})
  }

  /** One that has had its first look. */
  async started(): Promise<ConflistKeeper> {
    const keeper = this.keeper()
    await keeper.start()
    return keeper
  }

  /** As `kill -9` of every keeper: no timer of theirs fires any more, their locks are gone. */
  kill(): void {
    for (const lock of this.#locks.splice(0)) lock[Symbol.dispose]()
    this.clock = fakeClock(START_MS)
  }

  /** Something in the folder has changed, and the keeper has looked. */
  async changed(): Promise<void> {
    this.notify()
    await this.clock.advance(200)
  }

  /** For what real time brings: copies of files. */
  async until(check: () => boolean): Promise<void> {
    for (let attempt = 0; attempt < 500 && !check(); attempt += 1) await sleep(10)
    assert.ok(check(), 'not within 5 s')
  }

  uninstall(): boolean {
    return uninstallCni(this.#parts())
  }

  #parts() {
    const {files, places, log} = this
    return {files, places, log, record: new InstallRecord(createStateFiles(join(this.folder, 'state')), log)}
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  put(name: string, text: string): void {
    writeFileSync(this.path(name), text)
  }

  text(name: string): string {
    return readFileSync(this.path(name), 'utf8')
  }

  /** Types of the plugins, in their order. */
  types(name: string): string[] {
    const {plugins} = JSON.parse(this.text(name)) as {plugins: {type: string}[]}
    return plugins.map(({type}) => type)
  }

  /** Names in a folder; none where it is missing. */
  list(name: string): string[] {
    return existsSync(this.path(name)) ? readdirSync(this.path(name)).sort() : []
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, {recursive: true, force: true})
  }
}
