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
  /** As CNI named the namespace. */
  readonly netnsPath?: string
  /** Its cgroups may have our class: the uid that is in their paths. */
  readonly classUid?: string
  readonly sinceMs: number
}

/** Entries of one file by uid, and whether the file has them. */
export class Table<T> {
  readonly name: string
  readonly #entries: Map<string, T>
  #isSaved = false

  constructor(name: string, entries: readonly (readonly [string, T])[]) {
    this.name = name
    this.#entries = new Map(entries)
  }

  get(uid: string): T | undefined {
    return this.#entries.get(uid)
  }

  keys(): readonly string[] {
    return [...this.#entries.keys()]
  }

  values(): IterableIterator<T> {
    return this.#entries.values()
  }

  set(uid: string, value: T): void {
    if (JSON.stringify(this.#entries.get(uid)) === JSON.stringify(value)) return
    this.#entries.set(uid, value)
    this.#isSaved = false
  }

  /** False where there was none. */
  delete(uid: string): boolean {
    const wasThere = this.#entries.delete(uid)
    if (wasThere) this.#isSaved = false
    return wasThere
  }

  save(files: StateFiles): void {
    if (this.#isSaved) return
    files.write(this.name, `${JSON.stringify(Object.fromEntries(this.#entries), null, 2)}\n`)
    this.#isSaved = true
  }
}

export type Decisions = Pick<Table<boolean>, 'get' | 'set'>

export class EnrollState {
  /** Every cookie that we may have written and not yet taken out. */
  readonly enrolled: Table<EnrolledPod>
  /** Did the namespace ask for it when the pod was first seen. */
  readonly decisions: Table<boolean>
  readonly #files: StateFiles

  constructor(files: StateFiles, log: Log) {
    this.#files = files
    this.enrolled = new Table(ENROLLED_FILE, entriesOf(files, ENROLLED_FILE, log, isEnrolledPod))
    this.decisions = new Table(
      DECISIONS_FILE,
      entriesOf(files, DECISIONS_FILE, log, (value): value is boolean => typeof value === 'boolean'),
    )
  }

  /** The maps are new: cookies of before name nothing; classes of cgroups stay what they are. */
  forgetCookies(): void {
    for (const uid of this.enrolled.keys())
      if (this.enrolled.get(uid)?.classUid === undefined) this.enrolled.delete(uid)
  }

  /** Before the kernel is told. Writes only what changed. */
  save(): void {
    this.enrolled.save(this.#files)
    this.decisions.save(this.#files)
  }
}

function isEnrolledPod(value: unknown): value is EnrolledPod {
  const pod = value as Partial<EnrolledPod> | null
  return (
    typeof pod?.namespace === 'string' &&
    typeof pod.pod === 'string' &&
    typeof pod.sinceMs === 'number' &&
    (pod.netnsPath === undefined || typeof pod.netnsPath === 'string') &&
    (pod.classUid === undefined || typeof pod.classUid === 'string') &&
    typeof pod.cookie === 'string' &&
    /^\d{1,20}$/.test(pod.cookie)
  )
}

/** Uids, as cgroup paths have them, of pods that an earlier agent gave its class. */
export function keptClasses(files: StateFiles, log: Log): readonly string[] {
  const kept = entriesOf(files, ENROLLED_FILE, log, isEnrolledPod)
  return kept.map(([, {classUid}]) => classUid).filter((uid) => uid !== undefined)
}

export function entriesOf<T>(
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
