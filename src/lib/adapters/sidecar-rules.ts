// SPDX-License-Identifier: Apache-2.0
/** The short-circuit of a sidecar in a pod's network namespace, by the programs of iptables. */
import {CommandError, KmeshError} from '../errors.ts'
import type {SidecarRulesState} from '../model/bypass.ts'
import {
  emptyPlace,
  type NamespaceRules,
  type Place,
  type PlaceChange,
  type PlaceRules,
  parseSaved,
  planPut,
  planRemove,
  stateOf,
} from '../model/iptables-rules.ts'
import type {Commands, Netns, SidecarRules} from '../ports.ts'
import {
  createIptablesRunner,
  type IptablesResult,
  type IptablesRun,
  type IptablesRunner,
  programOf,
} from './iptables-runs.ts'
import {loadNetlinkCalls, type NetlinkCalls} from './nft-chains.ts'
import {type FilterTables, readFilterTables} from './packet-filter.ts'

/** Legacy first: it alone may wait for a lock, and then nothing needs to be undone. */
const PLACES: readonly Place[] = [
  {backend: 'legacy', family: 'IPv4'},
  {backend: 'legacy', family: 'IPv6'},
  {backend: 'nft', family: 'IPv4'},
  {backend: 'nft', family: 'IPv6'},
]
const DEFAULT_LOCK_WAIT_SECONDS = 5
/** Somebody may change the rules between our look and our change, which then fails. */
const MAX_ATTEMPTS = 3
const LOCKED = /holding the xtables lock/
/** A kernel without that backend, that family or its NAT. */
const UNAVAILABLE =
  /Table does not exist|does not exist \(do you need to insmod|Protocol not supported|Address family not supported|Failed to initialize nft/

export interface SidecarRulesOptions {
  /** Lock of the legacy backend; default is its programs' own, /run/xtables.lock. */
  readonly lockFile?: string | undefined
  /** Whole seconds to wait for the lock, 1 at least; default 5. */
  readonly lockWaitSeconds?: number | undefined
}

type Planner = (rules: NamespaceRules) => PlaceChange[]

class KernelSidecarRules implements SidecarRules {
  readonly #runner: IptablesRunner
  readonly #netns: Netns
  readonly #netlink: NetlinkCalls
  readonly #lockWaitSeconds: number
  /** Places that this kernel does not have. */
  readonly #unavailable = new Set<string>()
  /** Last of the changes asked for, by namespace. */
  readonly #queues = new Map<string, Promise<unknown>>()

  constructor(runner: IptablesRunner, netns: Netns, netlink: NetlinkCalls, lockWaitSeconds: number) {
    this.#runner = runner
    this.#netns = netns
    this.#netlink = netlink
    this.#lockWaitSeconds = lockWaitSeconds
  }

  async look(namespacePath: string): Promise<SidecarRulesState> {
    return stateOf(await this.#read(namespacePath))
  }

  async put(namespacePath: string): Promise<SidecarRulesState> {
    return this.#inTurn(namespacePath, async () => {
      const rules = await this.#reach(namespacePath, planPut)
      const state = stateOf(rules)
      return isSupported(rules) ? {...state, complete: true, present: true} : state
    })
  }

  async remove(namespacePath: string): Promise<void> {
    await this.#inTurn(namespacePath, () => this.#reach(namespacePath, planRemove))
  }

  /** Looks and changes until a plan has gone through; gives what was there before. */
  async #reach(namespacePath: string, planner: Planner): Promise<NamespaceRules> {
    for (let attempt = 1; ; attempt += 1) {
      const rules = await this.#read(namespacePath)
      if (planner === planPut && !isSupported(rules)) return rules
      try {
        await this.#apply(namespacePath, planner(rules))
        return rules
      } catch (error) {
        const isFinal = !(error instanceof CommandError) || attempt === MAX_ATTEMPTS
        if (isFinal) throw error
      }
    }
  }

  async #read(namespacePath: string): Promise<NamespaceRules> {
    const filter = readFilterTables(this.#netns, this.#netlink, namespacePath)
    const places = PLACES.filter(
      (place) => (filter.hasIpv6 || place.family === 'IPv4') && !this.#unavailable.has(nameOf(place)),
    )
    const saves = places.flatMap((place) => saveOf(place, filter))
    const results = await this.#runner.run(namespacePath, saves)
    requireGood(namespacePath, saves, results)
    const read = new Map(
      saves.map((run, index) => [nameOf(run), parseSaved(run, results[index]?.text ?? '')]),
    )
    return {
      places: places.map((place): PlaceRules => {
        const {backend, family} = place
        return {...(read.get(nameOf(place)) ?? emptyPlace(place)), backend, family}
      }),
      hasNativeIstio: filter.hasNativeIstio,
    }
  }

  /** All changes, or none where one fails. */
  async #apply(namespacePath: string, changes: readonly PlaceChange[]): Promise<void> {
    const done: PlaceChange[] = []
    try {
      let left = changes
      while (left.length > 0) {
        const runs = left.map((change) => this.#restoreOf(change, change.input))
        const results = await this.#runner.run(namespacePath, runs)
        const good = results.filter((result) => result.exitCode === 0).length
        done.push(...left.slice(0, good))
        if (good < left.length) this.#skipUnavailable(namespacePath, runs.slice(0, good + 1), results)
        left = left.slice(good + 1)
      }
      if (changes.length > 0 && done.length === 0)
        throw new KmeshError('this kernel has no NAT of iptables, neither of nft nor legacy', {
          code: 'NoIptables',
        })
    } catch (error) {
      await this.#undo(namespacePath, done, error)
      throw error
    }
  }

  #restoreOf({backend, family}: Place, input: string): IptablesRun {
    const args = ['--noflush', '-w', String(this.#lockWaitSeconds)]
    return {backend, family, program: 'restore', args, input}
  }

  #skipUnavailable(
    namespacePath: string,
    runs: readonly IptablesRun[],
    results: readonly IptablesResult[],
  ): void {
    const failed = runs.at(-1)
    if (failed !== undefined && UNAVAILABLE.test(results.at(-1)?.text ?? '')) {
      this.#unavailable.add(nameOf(failed))
      return
    }
    requireGood(namespacePath, runs, results)
  }

  async #undo(namespacePath: string, done: readonly PlaceChange[], cause: unknown): Promise<void> {
    const runs = done.map((change) => this.#restoreOf(change, change.undo)).reverse()
    try {
      requireGood(namespacePath, runs, await this.#runner.run(namespacePath, runs))
    } catch (error) {
      throw new KmeshError(`half of a change of iptables in ${namespacePath} could not be undone`, {
        code: 'IptablesHalfDone',
        cause: new AggregateError([cause, error]),
      })
    }
  }

  /** Two changes of one namespace at once would both see no rule and both insert one. */
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

function isSupported(rules: NamespaceRules): boolean {
  const {redirection} = stateOf(rules)
  return redirection === 'none' || redirection === 'redirect'
}

function nameOf({backend, family}: Place): string {
  return `${backend} ${family}`
}

/** Only what is there: to ask the legacy backend for a table makes it. */
function saveOf({backend, family}: Place, filter: FilterTables): IptablesRun[] {
  const tables = filter.tables(backend, family).filter((table) => table === 'nat' || table === 'mangle')
  if (tables.length === 0) return []
  const args = tables.length === 1 ? ['-t', ...tables] : []
  return [{backend, family, program: 'save', args}]
}

function requireGood(
  namespacePath: string,
  runs: readonly IptablesRun[],
  results: readonly IptablesResult[],
): void {
  const index = results.findIndex((result) => result.exitCode !== 0)
  const run = index === -1 ? runs[results.length] : runs[index]
  if (run === undefined) return
  const {exitCode, text} = results[index] ?? {exitCode: 'none', text: ''}
  const what = `${programOf(run)} in ${namespacePath}`
  if (LOCKED.test(text))
    throw new KmeshError(`${what}: another program holds the lock of iptables`, {
      code: 'IptablesLocked',
      hints: ['find it with: fuser -v /run/xtables.lock'],
    })
  throw new CommandError(`${what}: exit status ${exitCode}: ${text.trim() || 'no message'}`, '')
}

/**
 * @returns rules of the kernel; needs iptables with both of its backends, nsenter and a shell, and CAP_NET_ADMIN and
 *   CAP_SYS_ADMIN over the namespaces
 */
export function createSidecarRules(
  commands: Commands,
  netns: Netns,
  options: SidecarRulesOptions = {},
): SidecarRules {
  const lockWaitSeconds = options.lockWaitSeconds ?? DEFAULT_LOCK_WAIT_SECONDS
  const runner = createIptablesRunner(commands, {lockFile: options.lockFile, lockWaitSeconds})
  return new KernelSidecarRules(runner, netns, loadNetlinkCalls(), lockWaitSeconds)
}
