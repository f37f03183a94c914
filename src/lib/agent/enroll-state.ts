// SPDX-License-Identifier: Apache-2.0
/** What enrollment must still know after a restart: whose cookies we wrote, and decisions that are made once. */
import {messageOf} from '../errors.ts'
import type {Log, StateFiles} from '../ports.ts'

export const ENROLLED_FILE = 'enrolled.json'
export const DECISIONS_FILE = 'namespace-decisions.json'

export interface EnrolledPod {
  readonly namespace: string
  readonly pod: string
  /** Netns cookie in decimal. */
  readonly cookie: string
  readonly sinceMs: number
}

export class EnrollState {
  /** By uid: every cookie that we may have written and not yet taken out. */
  readonly enrolled: Map<string, EnrolledPod>
  /** By uid: did the namespace ask for it when the pod was first seen. */
  readonly decisions: Map<string, boolean>
  readonly #files: StateFiles
  #saved = {enrolled: '', decisions: ''}

  constructor(files: StateFiles, log: Log) {
    this.#files = files
    this.enrolled = new Map(entriesOf(files, ENROLLED_FILE, log, isEnrolledPod))
    this.decisions = new Map(
      entriesOf(files, DECISIONS_FILE, log, (value): value is boolean => typeof value === 'boolean'),
    )
  }

  /** Takes out what belongs to pods that are gone and returns it: cookies that are ours for certain. */
  takeGone(isKnown: (uid: string) => boolean): EnrolledPod[] {
    const gone: EnrolledPod[] = []
    for (const [uid, enrolled] of this.enrolled) {
      if (!isKnown(uid) && this.enrolled.delete(uid)) gone.push(enrolled)
    }
    for (const uid of this.decisions.keys()) if (!isKnown(uid)) this.decisions.delete(uid)
    return gone
  }

  /** Before the kernel is told. Writes only what changed. */
  save(): void {
    const enrolled = format(this.enrolled)
    if (enrolled !== this.#saved.enrolled) this.#files.write(ENROLLED_FILE, enrolled)
    const decisions = format(this.decisions)
    if (decisions !== this.#saved.decisions) this.#files.write(DECISIONS_FILE, decisions)
    this.#saved = {enrolled, decisions}
  }
}

function format(entries: ReadonlyMap<string, unknown>): string {
  return `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`
}

function isEnrolledPod(value: unknown): value is EnrolledPod {
  const pod = value as Partial<EnrolledPod> | null
  return (
    typeof pod?.namespace === 'string' &&
    typeof pod.pod === 'string' &&
    typeof pod.sinceMs === 'number' &&
    typeof pod.cookie === 'string' &&
    /^\d{1,20}$/.test(pod.cookie)
  )
}

function entriesOf<T>(
  files: StateFiles,
  name: string,
  log: Log,
  isValid: (value: unknown) => value is T,
): [string, T][] {
  try {
    const stored: unknown = JSON.parse(files.read(name) ?? '{}')
    return Object.entries(stored ?? {}).filter((entry): entry is [string, T] => isValid(entry[1]))
  } catch (error) {
    log.error(`${name} is not readable and ignored: ${messageOf(error)}`)
    return []
  }
}
