// SPDX-License-Identifier: Apache-2.0
/** One round at one network namespace: look, put in or take out. What fails is the caller's. */
import {KmeshError} from '../errors.ts'
import type {SidecarRulesState} from '../model/bypass.ts'
import type {Log, Netns, SidecarRules} from '../ports.ts'
import {isWanted, type Place, pathTo, recordsOf, subjectOf} from './bypass-place.ts'
import type {BypassState} from './bypass-state.ts'
import type {PodRecord} from './pod-record.ts'

export interface BypassRoundParts {
  readonly rules: SidecarRules
  readonly netns: Netns
  readonly log: Log
  readonly state: BypassState
  /** Looks for the pod's processes. */
  readonly seek: (record: PodRecord) => void
  /** What stands has changed in the middle of a round. */
  readonly tell: (place: Place) => void
  /** The rules came in. */
  readonly putIn: (place: Place) => void
  /** The rules are gone, and nobody wants them. */
  readonly takenOut: (place: Place) => void
}

export class BypassRound {
  readonly #parts: BypassRoundParts

  constructor(parts: BypassRoundParts) {
    this.#parts = parts
  }

  /** @throws CommandError; KmeshError `BypassIncomplete`, of the state directory */
  async run(place: Place): Promise<void> {
    const path = pathTo(place, this.#parts.netns)
    place.isLost = path === undefined
    if (path === undefined) {
      if (place.members.size > 0) this.#parts.seek(place.record)
      return
    }
    await (isWanted(place) ? this.#putIn(place, path) : this.#takeOut(place, path))
  }

  async #putIn(place: Place, path: string): Promise<void> {
    const {rules, log} = this.#parts
    const wasIn = place.standing === 'in'
    const isKnown = isReliedOn(place) || place.standing === 'unsupported'
    let seen = isKnown ? await rules.look(path, place.cookie) : undefined
    if (seen === undefined || !isUnsupported(seen)) {
      this.#note(place)
      if (seen !== undefined && !seen.complete) place.standing = 'out'
      if (wasIn && place.standing === 'out')
        log.warn(`${subjectOf(place)}: its rules are not as they should be; putting them right`)
      if (seen?.complete !== true) seen = await rules.put(path, place.cookie)
    }
    if (isUnsupported(seen)) return this.#refuse(place, path, seen)
    if (!seen.complete)
      throw new KmeshError('somebody changes its rules meanwhile', {code: 'BypassIncomplete'})
    place.standing = 'in'
    if (wasIn) return
    log.info(`${subjectOf(place)}: the sidecar is short-circuited`)
    this.#parts.putIn(place)
  }

  /** Never half done: not enrolled any more first, then without what rules there are. */
  async #refuse(place: Place, path: string, {redirection, present}: SidecarRulesState): Promise<void> {
    if (place.standing !== 'unsupported') {
      const what = `its sidecar gets the traffic by ${redirection}, which cannot be short-circuited`
      this.#parts.log.warn(`${subjectOf(place)}: ${what} (BypassUnsupported)`)
      place.standing = 'unsupported'
      this.#parts.tell(place)
    }
    if (present) await this.#parts.rules.remove(path, place.cookie)
    this.#strike(place)
  }

  async #takeOut(place: Place, path: string): Promise<void> {
    place.standing = 'unknown'
    await this.#parts.rules.remove(path, place.cookie)
    place.standing = 'out'
    // A wish that came meanwhile: the next round puts them in again.
    if (isWanted(place)) return
    this.#parts.log.info(`${subjectOf(place)}: the sidecar has its traffic again`)
    this.#strike(place)
    this.#parts.takenOut(place)
  }

  /** On disk before the first rule. @throws KmeshError of the state directory */
  #note({members}: Place): void {
    for (const {record, wanted} of members.values()) if (wanted) this.#parts.state.add(record)
    this.#parts.state.save()
  }

  #strike({members}: Place): void {
    for (const uid of members.keys()) this.#parts.state.clear(uid)
    this.#parts.state.save()
  }
}

/** The kernel has a pod there because the rules stand, or stood when this agent began. */
function isReliedOn(place: Place): boolean {
  return place.standing === 'in' || recordsOf(place).some(({captured}) => captured)
}

function isUnsupported({redirection}: SidecarRulesState): boolean {
  return redirection === 'tproxy' || redirection === 'nftables'
}
