// SPDX-License-Identifier: Apache-2.0
/**
 * The Bpf port in memory, as `--backend memory` has it, with what tests need on
 * top: `writes` in their order, ring buffer records with `emit`, and calls that
 * fail with `failNext`.
 */
import {MemoryBpf} from '../../src/lib/adapters/memory-bpf.ts'
import type {MemoryCall, MemoryWrite} from '../../src/lib/adapters/memory-map.ts'
import {KernelError} from '../../src/lib/errors.ts'

export class FakeBpf extends MemoryBpf {
  /** Every write that reached a map, oldest first: for tests of order. */
  readonly writes: MemoryWrite[] = []
  readonly #failures = new Map<MemoryCall, number>()

  /** The next call of this kind throws KernelError with `errno`, once, before it does anything. */
  failNext(call: MemoryCall, errno: number): void {
    this.#failures.set(call, errno)
  }

  /** What a program would do: puts a record into the ring buffer pinned at `pinPath`. */
  emit(pinPath: string, record: Uint8Array): void {
    this.store(pinPath).records.push(record)
  }

  override before(call: MemoryCall, target: string): void {
    const errno = this.#failures.get(call)
    if (errno === undefined) return
    this.#failures.delete(call)
    throw new KernelError(call, errno, target)
  }

  override wrote(write: MemoryWrite): void {
    this.writes.push(write)
  }
}
