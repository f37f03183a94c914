// SPDX-License-Identifier: Apache-2.0
/**
 * Which container and interface belongs to which pod, kept over a restart: the runtime names containers only when
 * it collects garbage, and no namespace when that is gone.
 */
import {messageOf} from '../errors.ts'
import {type CniAttachment, isCniName, isInterfaceName, isObjectName, isPath, isUid} from '../model/cni.ts'
import {type Fields, isFields} from '../model/hostile.ts'
import type {Clock, Log, StateFiles} from '../ports.ts'

export const ATTACHMENTS_FILE = 'cni-attachments.json'
/** Far above what a node runs; the oldest go first. */
const MAX_ATTACHMENTS = 10_000
/** Changes within this time go out in one write; a crash before it leaves a pod to the watch. */
const WRITE_DELAY_MS = 100
const RETRY_MS = 5000

export interface PodAttachment extends CniAttachment {
  readonly network: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** As this process reaches it. */
  readonly netnsPath: string
}

export interface AttachmentParts {
  readonly files: StateFiles
  readonly clock: Clock
  readonly log: Log
}

export class Attachments {
  readonly #parts: AttachmentParts
  readonly #known = new Map<string, PodAttachment>()
  #dirty = false
  #scheduled = false
  #writing: Promise<void> = Promise.resolve()
  #problem: string | undefined

  constructor(parts: AttachmentParts) {
    this.#parts = parts
    for (const attachment of read(parts)) this.#known.set(keyOf(attachment), attachment)
  }

  get(attachment: CniAttachment): PodAttachment | undefined {
    return this.#known.get(keyOf(attachment))
  }

  set(attachment: PodAttachment): void {
    const key = keyOf(attachment)
    this.#known.delete(key)
    this.#known.set(key, attachment)
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_ATTACHMENTS && oldest !== undefined) this.#known.delete(oldest)
    this.#changed()
  }

  delete(attachment: CniAttachment): void {
    if (this.#known.delete(keyOf(attachment))) this.#changed()
  }

  /** Those of the network that are not among `valid`. */
  stale(network: string, valid: readonly CniAttachment[]): readonly PodAttachment[] {
    const kept = new Set(valid.map(keyOf))
    return [...this.#known.values()].filter((one) => one.network === network && !kept.has(keyOf(one)))
  }

  problems(): readonly string[] {
    return this.#problem === undefined ? [] : [this.#problem]
  }

  /** Writes what is not yet written. */
  async close(): Promise<void> {
    await this.#writing
    await this.#write()
  }

  #changed(): void {
    this.#dirty = true
    this.#writeLater(WRITE_DELAY_MS)
  }

  #writeLater(delayMs: number): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#parts.clock.after(delayMs, () => {
      this.#scheduled = false
      this.#writing = this.#writing.then(() => this.#write())
    })
  }

  async #write(): Promise<void> {
    if (!this.#dirty) return
    this.#dirty = false
    try {
      await this.#parts.files.writeAsync(ATTACHMENTS_FILE, `${JSON.stringify([...this.#known.values()])}\n`)
      this.#problem = undefined
    } catch (error) {
      this.#dirty = true
      const problem = `cannot write the CNI attachments: ${messageOf(error)}`
      if (this.#problem !== problem) this.#parts.log.error(problem)
      this.#problem = problem
      this.#writeLater(RETRY_MS)
    }
  }
}

function keyOf({containerId, ifName}: CniAttachment): string {
  return `${containerId}/${ifName}`
}

function read({files, log}: AttachmentParts): PodAttachment[] {
  try {
    const stored: unknown = JSON.parse(files.read(ATTACHMENTS_FILE) ?? '[]')
    if (!Array.isArray(stored)) throw new Error('it is no list')
    return stored.slice(-MAX_ATTACHMENTS).flatMap((item: unknown) => attachmentOf(item) ?? [])
  } catch (error) {
    log.error(`${ATTACHMENTS_FILE} is not readable and ignored: ${messageOf(error)}`)
    return []
  }
}

function attachmentOf(item: unknown): PodAttachment | undefined {
  const fields: Fields = isFields(item) ? item : {}
  const text = (name: string): string => (typeof fields[name] === 'string' ? fields[name] : '')
  const found: PodAttachment = {
    containerId: text('containerId'),
    ifName: text('ifName'),
    network: text('network'),
    namespace: text('namespace'),
    name: text('name'),
    uid: text('uid'),
    netnsPath: text('netnsPath'),
  }
  const isWhole =
    isCniName(found.containerId) &&
    isInterfaceName(found.ifName) &&
    isCniName(found.network) &&
    isObjectName(found.namespace) &&
    isObjectName(found.name) &&
    isUid(found.uid) &&
    isPath(found.netnsPath)
  return isWhole ? found : undefined
}
