// SPDX-License-Identifier: Apache-2.0
/** Reads 100,000 backends out of the kernel and decodes them, step by step as the agent does. */
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {BACKEND} from '../../src/lib/model/maps.ts'
import type {BpfMap} from '../../src/lib/ports.ts'
import {KernelFixture} from '../adapters/kernel-fixture.ts'

interface BenchRow {
  readonly name: string
  readonly value: number
  readonly unit: 'ms'
  readonly budget: number
}

const ENTRIES = 100_000
const TURNS = 7

/** Medians; needs root. */
export async function rows(): Promise<BenchRow[]> {
  using fixture = new KernelFixture()
  const bpf = createBpf()
  bpf.load(fixture.request())
  using map = bpf.openPinned(fixture.pin(`map/${BACKEND.name}`))
  fill(map)
  const turns = Array.from({length: TURNS}, () => readAll(map))
  return [
    {
      name: `read ${ENTRIES} entries, decoded`,
      value: median(turns.map((turn) => turn.totalMs)),
      unit: 'ms',
      budget: 300,
    },
    {
      name: 'longest step of it, between two of which other work can run',
      value: median(turns.map((turn) => turn.longestStepMs)),
      unit: 'ms',
      budget: 50,
    },
  ]
}

/** Each with an address and two services. */
function fill(map: BpfMap): void {
  const keys = new Uint8Array(Uint32Array.from({length: ENTRIES}, (_, at) => at + 1).buffer)
  const values = new Uint8Array(ENTRIES * BACKEND.valueBytes)
  for (let at = 0; at < ENTRIES; at++) {
    const value = values.subarray(at * BACKEND.valueBytes)
    value.set([10, at >> 16, at >> 8, at])
    value.set([2, 0, 0, 0, 7, 0, 0, 0, 8], 16)
  }
  map.updateBatch({count: ENTRIES, keys, values})
}

function readAll(map: BpfMap): {totalMs: number; longestStepMs: number} {
  const start = performance.now()
  let [longestStepMs, stepStart, services] = [0, start, 0]
  for (const batch of map.read()) {
    const keys = new DataView(batch.keys.buffer, batch.keys.byteOffset, batch.keys.byteLength)
    const values = new DataView(batch.values.buffer, batch.values.byteOffset, batch.values.byteLength)
    for (let at = 0; at < batch.count; at++) {
      BACKEND.key.read(keys, at * BACKEND.keyBytes)
      services += BACKEND.value.read(values, at * BACKEND.valueBytes).services.length
    }
    const now = performance.now()
    longestStepMs = Math.max(longestStepMs, now - stepStart)
    stepStart = now
  }
  if (services !== 2 * ENTRIES) throw new Error(`read ${services / 2} of ${ENTRIES} entries`)
  return {totalMs: performance.now() - start, longestStepMs}
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] as number
}
