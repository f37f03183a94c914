// SPDX-License-Identifier: Apache-2.0
/**
 * Rules that short-circuit sidecars, network namespace by network namespace, as pods wish: the newest wish wins,
 * what fails is tried again. Commands are run meanwhile, so all of it is asynchronous; capture is not.
 *
 * Order, for a pod that is enrolled too. In: rules first, then the kernel's map. A connection between the two goes
 * the way of a plain pod, by kube service routing, which is right. The other way round the hook would give Envoy an
 * endpoint in place of the service, which it would pass on without its routes, or refuse. Out, for the same reason:
 * first out of the map, then without the rules. Open connections keep their way: nat looks at first packets only.
 */
import {KmeshError, messageOf} from '../errors.ts'
import type {BypassEntry} from '../model/bypass.ts'
import type {Clock, Log, Netns, SidecarRules, StateFiles} from '../ports.ts'
import {
  type BypassStanding,
  entryAt,
  isSettled,
  isWanted,
  type Place,
  pathTo,
  placeOf,
  recordsOf,
  subjectOf,
} from './bypass-place.ts'
import {BypassQueue} from './bypass-queue.ts'
import {BypassRound} from './bypass-round.ts'
import {BypassState} from './bypass-state.ts'
import {isFinished} from './desired.ts'
import type {PodRecord} from './pod-record.ts'
import {Turns} from './turns.ts'

/** Each runs several commands. */
const PARALLEL = 2
const FIRST_RETRY_MS = 200
const LAST_RETRY_MS = 30_000
/** After the rules came in: init containers and sidecars write theirs soon after. */
const LOOK_AGAIN_MS = [2000, 10_000]
/** A look costs some 15 ms of CPU. */
const LOOKS_A_ROUND = 60

export interface BypassParts {
  readonly rules: SidecarRules
  readonly netns: Netns
  readonly files: StateFiles
  readonly clock: Clock
  readonly log: Log
  /** What stands has changed, or a failure is new: pods are to be looked at before anything else is done there. */
  readonly onChange: (records: readonly PodRecord[]) => void
  /** Looks for the pod's processes. */
  readonly seek: (record: PodRecord) => void
}

export class SidecarBypass {
  readonly #parts: BypassParts
  readonly #state: BypassState
  readonly #places = new Map<string, Place>()
  /** By uid. */
  readonly #cookies = new Map<string, string>()
  readonly #round: BypassRound
  readonly #turns = new Turns(LOOKS_A_ROUND)
  readonly #queue = new BypassQueue<Place>(PARALLEL, (place) => this.#run(place))
  #isStopped = false

  constructor(parts: BypassParts) {
    this.#parts = parts
    this.#state = new BypassState(parts.files, parts.log)
    this.#round = new BypassRound({
      ...parts,
      state: this.#state,
      tell: (place) => this.#tell(place),
      putIn: (place) => this.#lookAgainSoon(place),
      takenOut: (place) => this.#takenOut(place),
    })
  }

  /** Pods are complete: what an earlier agent did to others is gone with them. */
  start(isKnown: (uid: string) => boolean): void {
    this.#state.keepOnly(isKnown)
  }

  stop(): void {
    this.#isStopped = true
    this.#queue.stop()
  }

  /** Wants the rules in or out of the pod's namespace, `record.wantsBypass`; the same again changes nothing. */
  want(record: PodRecord): void {
    const {uid, cookie, wantsBypass: wanted} = record
    const isFinal = isFinished(record.pod)
    if (isFinal || this.#cookies.get(uid) !== cookie) this.leave(uid, true, !isFinal)
    if (cookie === null || isFinal) return
    const known = this.#places.get(cookie)
    if (known === undefined && !wanted && !this.#state.mayHaveRules(record)) return
    const place = known ?? placeOf(cookie, record)
    this.#places.set(cookie, place)
    this.#cookies.set(uid, cookie)
    const before = isWanted(place)
    place.members.set(uid, {record, wanted})
    place.record = record
    const isFound = place.isLost && pathTo(place, this.#parts.netns) !== undefined
    if (known === undefined || before !== isWanted(place) || isFound) this.#schedule(place)
  }

  /**
   * For CNI: returns when the rules stand as `record.wantsBypass` says, or are not supported there.
   * @throws CommandError, KmeshError of the first failure; it is tried again all the same
   */
  async ensure(record: PodRecord): Promise<void> {
    this.want(record)
    const place = this.#placeOf(record)
    if (place === undefined || isSettled(place)) return
    const settled = new Promise<void>((resolve, reject) => place.waiters.push({resolve, reject}))
    // It may be due already, and wait for its next retry.
    if (!place.isRunning) this.#schedule(place)
    await settled
  }

  standing(record: PodRecord): BypassStanding {
    return this.#placeOf(record)?.standing ?? 'out'
  }

  /** What is known; undefined where nothing is, or was, to be done. */
  view(record: PodRecord): Pick<Place, 'standing' | 'attempts' | 'problem'> | undefined {
    return this.#placeOf(record)
  }

  problems(): readonly string[] {
    return [...this.#places.values()].map(({problem}) => problem).filter((text) => text !== undefined)
  }

  entryOf(record: PodRecord): BypassEntry {
    return entryAt(this.#placeOf(record), record.wantsBypass)
  }

  /** Somebody may have changed the rules. */
  lookAgain(record: PodRecord): void {
    const place = this.#placeOf(record)
    if (place !== undefined && isWanted(place)) this.#schedule(place)
  }

  lookAtAll(): void {
    const isDue = (place: Place): boolean => place.isLost || (isWanted(place) && place.attempts === 0)
    for (const place of this.#turns.next([...this.#places.values()].filter(isDue))) this.#schedule(place)
  }

  /**
   * The pod is no more in its namespace.
   * @param isGone - nor is the namespace: nothing is to be taken out there
   * @param keepsNote - it may be in another one, with rules of ours
   */
  leave(uid: string, isGone: boolean, keepsNote = false): void {
    const place = this.#places.get(this.#cookies.get(uid) ?? '')
    this.#cookies.delete(uid)
    if (!keepsNote) this.#state.forget(uid)
    if (place === undefined) return
    const before = isWanted(place)
    place.members.delete(uid)
    if (place.members.size === 0 && (isGone || place.standing === 'out')) this.#forget(place)
    else if (before !== isWanted(place)) this.#schedule(place)
  }

  #placeOf({cookie}: PodRecord): Place | undefined {
    return this.#places.get(cookie ?? '')
  }

  #forget(place: Place): void {
    place.cancelRetry()
    if (this.#places.get(place.cookie) === place) this.#places.delete(place.cookie)
    for (const {resolve} of place.waiters.splice(0)) resolve()
  }

  #schedule(place: Place): void {
    place.isDue = true
    place.cancelRetry()
    // Somebody waits for it: before those that are only looked at again.
    if (!place.isRunning) this.#queue.add(place, place.waiters.length > 0 || place.standing !== 'in')
  }

  async #run(place: Place): Promise<void> {
    place.isRunning = true
    // The same at the end as at the beginning may have been another one in between, of which pods were told.
    let isNew = place.problem !== undefined
    try {
      while (place.isDue && !this.#isStopped) {
        place.isDue = false
        const {standing} = place
        await this.#round.run(place)
        isNew ||= standing !== place.standing
      }
      if (place.isLost) {
        this.#lost(place)
        return
      }
      place.attempts = 0
      place.problem = undefined
      for (const {resolve} of place.waiters.splice(0)) resolve()
      if (isNew) this.#tell(place)
    } catch (error) {
      this.#failed(place, error)
    } finally {
      place.isRunning = false
      // Wished for by those who were told.
      if (place.isDue && place.attempts === 0) this.#schedule(place)
    }
  }

  #lost(place: Place): void {
    const error = new KmeshError('no path leads to its network namespace', {code: 'NamespaceGone'})
    for (const {reject} of place.waiters.splice(0)) reject(error)
    if (place.members.size === 0) this.#forget(place)
  }

  #failed(place: Place, error: unknown): void {
    const {log, clock, seek} = this.#parts
    // Without pods nobody wants anything of it any more; mostly it is on its way out itself.
    if (place.members.size === 0) {
      this.#forget(place)
      return
    }
    place.attempts += 1
    const what = isWanted(place)
      ? 'cannot short-circuit the sidecar'
      : 'cannot give the sidecar its traffic back'
    const text = `${subjectOf(place)}: ${what}: ${messageOf(error)}`
    if (place.problem !== text) log.error(`${text}; trying again`)
    place.problem = text
    for (const {reject} of place.waiters.splice(0)) reject(error)
    const delayMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(place.attempts - 1, 10))
    place.cancelRetry = clock.after(delayMs, () => this.#schedule(place))
    seek(place.record)
    this.#tell(place)
  }

  #takenOut(place: Place): void {
    const records = recordsOf(place)
    if (!place.isDue) this.#forget(place)
    this.#parts.onChange(records)
  }

  #tell(place: Place): void {
    this.#parts.onChange(recordsOf(place))
  }

  #lookAgainSoon(place: Place): void {
    for (const delayMs of LOOK_AGAIN_MS) {
      this.#parts.clock.after(delayMs, () => {
        if (this.#places.get(place.cookie) === place && isWanted(place)) this.#schedule(place)
      })
    }
  }
}
