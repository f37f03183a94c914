// SPDX-License-Identifier: Apache-2.0
/** The short-circuit of a sidecar in a pod's network namespace, by the programs of iptables. */
import {CommandError, KmeshError} from '../errors.ts'
import type {SidecarRulesState} from '../model/bypass.ts'
import {
  canBypass,
  type NamespaceRules,
  type Place,
  type PlaceChange,
  planPut,
  planRemove,
  planUndo,
  stateOf,
} from '../model/iptables-rules.ts'
import type {Commands, Netns, SidecarRules} from '../ports.ts'
import {holdingNamespace} from './held-namespace.ts'
import {IptablesReader} from './iptables-reader.ts'
import {createIptablesRunner, type IptablesRun, type IptablesRunner, requireGood} from './iptables-runs.ts'

const DEFAULT_LOCK_WAIT_SECONDS = 5
/** Somebody may change the rules between our look and our change, which then fails. */
const MAX_ATTEMPTS = 3
/** What restore says where the kernel lacks that backend, that family or its NAT. */
const MISSING =
  /unable to initialize table|Failed to initialize nft|(rule set generation id|CHAIN_ADD failed).*(Invalid argument|not supported|No such file)/

export interface SidecarRulesOptions {
  /** Lock of the legacy backend; default is its programs' own, /run/xtables.lock. */
  readonly lockFile?: string | undefined
  /** Whole seconds to wait for the lock, 1 at least; default 5. */
  readonly lockWaitSeconds?: number | undefined
}

class KernelSidecarRules implements SidecarRules {
  readonly #netns: Netns
  readonly #runner: IptablesRunner
  readonly #reader: IptablesReader
  readonly #lockWaitSeconds: number
  /** The last change that was asked for, by namespace. */
  readonly #queues = new Map<string, Promise<unknown>>()

  constructor(netns: Netns, runner: IptablesRunner, lockWaitSeconds: number) {
    this.#netns = netns
    this.#runner = runner
    this.#reader = new IptablesReader(runner, netns)
    this.#lockWaitSeconds = lockWaitSeconds
  }

  look(namespacePath: string, cookie?: string): Promise<SidecarRulesState> {
    return this.#holding(namespacePath, cookie, async (held) => stateOf(await this.#reader.read(held)))
  }

  async put(namespacePath: string, cookie?: string): Promise<SidecarRulesState> {
    const plan = (rules: NamespaceRules) => (canBypass(rules) ? planPut(rules) : [])
    const before = await this.#change(namespacePath, cookie, plan)
    const state = stateOf(before)
    // Not looked at again: the transactions went through, and a pod's start waits for this.
    return canBypass(before) ? {...state, complete: true, present: true} : state
  }

  async remove(namespacePath: string, cookie?: string): Promise<void> {
    await this.#change(namespacePath, cookie, planRemove)
  }

  #holding<T>(path: string, cookie: string | undefined, run: (held: string) => Promise<T>): Promise<T> {
    return holdingNamespace(path, async (held) => {
      if (cookie !== undefined && this.#netns.cookie(held).toString() !== cookie)
        throw new KmeshError(`${path} leads to another network namespace by now`, {code: 'NamespaceChanged'})
      return await run(held)
    })
  }

  /** @returns what was there before */
  #change(
    namespacePath: string,
    cookie: string | undefined,
    plan: (rules: NamespaceRules) => PlaceChange[],
  ): Promise<NamespaceRules> {
    return this.#inTurn(namespacePath, () =>
      this.#holding(namespacePath, cookie, (held) => this.#changeAt(held, plan)),
    )
  }

  async #changeAt(
    namespacePath: string,
    plan: (rules: NamespaceRules) => PlaceChange[],
  ): Promise<NamespaceRules> {
    for (let attempt = 1; ; attempt += 1) {
      const rules = await this.#reader.read(namespacePath)
      try {
        await this.#apply(namespacePath, rules, plan(rules))
        return rules
      } catch (error) {
        if (!(error instanceof CommandError) || attempt === MAX_ATTEMPTS) throw error
      }
    }
  }

  /** All of it, or nothing where one fails. */
  async #apply(
    namespacePath: string,
    before: NamespaceRules,
    changes: readonly PlaceChange[],
  ): Promise<void> {
    const missing: Place[] = []
    try {
      for (let left = changes; left.length > 0; ) {
        const runs = left.map((change) => this.#restore(change))
        const results = await this.#runner.run(namespacePath, runs)
        const good = results.filter((result) => result.exitCode === 0).length
        const failed = left[good]
        if (failed !== undefined && MISSING.test(results[good]?.text ?? '')) missing.push(failed)
        else requireGood(namespacePath, runs, results)
        left = left.slice(good + 1)
      }
      if (missing.length > 0 && missing.length === before.places.length) throw noIptables(namespacePath)
      this.#reader.leaveOut(namespacePath, missing)
    } catch (error) {
      await this.#undo(namespacePath, before, error)
      throw error
    }
  }

  #restore({backend, family, input}: PlaceChange): IptablesRun {
    return {
      backend,
      family,
      program: 'restore',
      args: ['--noflush', '-w', String(this.#lockWaitSeconds)],
      input,
    }
  }

  async #undo(namespacePath: string, before: NamespaceRules, cause: unknown): Promise<void> {
    try {
      const changes = planUndo(await this.#reader.read(namespacePath), before)
      const runs = changes.map((change) => this.#restore(change))
      requireGood(namespacePath, runs, await this.#runner.run(namespacePath, runs))
    } catch (error) {
      throw new KmeshError(`a change of iptables in ${namespacePath} failed and is half done`, {
        code: 'IptablesHalfDone',
        cause: new AggregateError([cause, error]),
      })
    }
  }

  /** Two changes of a namespace at once would both see no rule and both insert one. */
  async #inTurn<T>(namespacePath: string, run: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(namespacePath) ?? Promise.resolve()
    const mine = before.then(run, run)
    this.#queues.set(namespacePath, mine)
    try {
      return await mine
    } finally {
      if (this.#queues.get(namespacePath) === mine) this.#queues.delete(namespacePath)
    }
  }
}

function noIptables(namespacePath: string): KmeshError {
  return new KmeshError(`the kernel has no NAT of iptables for ${namespacePath}, neither nft nor legacy`, {
    code: 'NoIptables',
  })
}

/**
 * @param netns - enters the namespaces that `commands` runs in
 * @returns rules of the kernel. It needs iptables with both of its backends, nsenter and a shell, CAP_NET_ADMIN,
 *   CAP_NET_RAW and CAP_SYS_ADMIN; a backend or family that the kernel lacks is left out.
 * @throws KmeshError where there is no libc to call
 */
export function createSidecarRules(
  commands: Commands,
  netns: Netns,
  options: SidecarRulesOptions = {},
): SidecarRules {
  const {lockFile, lockWaitSeconds = DEFAULT_LOCK_WAIT_SECONDS} = options
  const runner = createIptablesRunner(commands, {lockFile, lockWaitSeconds})
  return new KernelSidecarRules(netns, runner, lockWaitSeconds)
}
