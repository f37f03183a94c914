// SPDX-License-Identifier: Apache-2.0
// Goal: the programs load on every kernel from 5.13 on, as far as an object can tell: no helper is newer, none is a
// kernel function; this kernel's verifier accepts all of them, and `make stats` says how large they are.
// Method: the call instructions of the object's own ELF sections, against the versions that brought each helper.
import assert from 'node:assert/strict'
import {spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {OBJECT_FILE, skipReason} from '../adapters/kernel-fixture.ts'
import {noCompiler, Variant} from './variants.ts'

/**
 * Number in enum bpf_func_id (linux/bpf.h) -> name and the first kernel that has it. To use a newer one, ask at run
 * time whether it is there, and say so here.
 */
const HELPERS: Readonly<Record<number, readonly [string, string]>> = {
  1: ['map_lookup_elem', '3.19'],
  2: ['map_update_elem', '3.19'],
  3: ['map_delete_elem', '3.19'],
  5: ['ktime_get_ns', '4.1'],
  7: ['get_prandom_u32', '4.1'],
  8: ['get_smp_processor_id', '4.1'],
  12: ['tail_call', '4.2'],
  14: ['get_current_pid_tgid', '4.2'],
  17: ['get_cgroup_classid', '4.3, in connect hooks 5.7'],
  46: ['get_socket_cookie', '4.12'],
  49: ['setsockopt', '4.13, in connect hooks 5.8'],
  57: ['getsockopt', '4.15, in connect hooks 5.8'],
  59: ['sock_ops_cb_flags_set', '4.16'],
  64: ['bind', '4.17'],
  80: ['get_current_cgroup_id', '4.18'],
  95: ['sk_fullsock', '5.1'],
  96: ['tcp_sock', '5.1'],
  107: ['sk_storage_get', '5.2'],
  108: ['sk_storage_delete', '5.2'],
  113: ['probe_read_kernel', '5.5'],
  122: ['get_netns_cookie', '5.7'],
  123: ['get_current_ancestor_cgroup_id', '5.7'],
  130: ['ringbuf_output', '5.8'],
  131: ['ringbuf_reserve', '5.8'],
  132: ['ringbuf_submit', '5.8'],
  133: ['ringbuf_discard', '5.8'],
  134: ['ringbuf_query', '5.8'],
  165: ['snprintf', '5.13'],
}

interface Call {
  readonly kind: 'helper' | 'function' | 'kernel function'
  readonly id: number
}

const SECTION_HEADER_OFFSET = 0x28
const HEADER_COUNT_OFFSET = 0x3c
const HEADER_BYTES = 64
const EXECUTABLE = 4n
const CALL = 0x85
const LOAD_64 = 0x18
const KINDS = ['helper', 'function', 'kernel function'] as const

/** Of a little-endian ELF64: every call in every executable section. */
function callsOf(objectFile: string): Call[] {
  const bytes = readFileSync(objectFile)
  const headers = Number(bytes.readBigUInt64LE(SECTION_HEADER_OFFSET))
  const calls: Call[] = []
  for (let index = 0; index < bytes.readUInt16LE(HEADER_COUNT_OFFSET); index += 1) {
    const at = headers + index * HEADER_BYTES
    if ((bytes.readBigUInt64LE(at + 8) & EXECUTABLE) === 0n) continue
    const start = Number(bytes.readBigUInt64LE(at + 24))
    calls.push(...callsIn(bytes.subarray(start, start + Number(bytes.readBigUInt64LE(at + 32)))))
  }
  return calls
}

function* callsIn(code: Buffer): Generator<Call> {
  for (let at = 0; at + 8 <= code.length; at += code[at] === LOAD_64 ? 16 : 8) {
    if (code[at] !== CALL) continue
    const kind = KINDS[(code[at + 1] ?? 0) >> 4]
    assert.ok(kind !== undefined, `call of an unknown kind at ${at}`)
    yield {kind, id: code.readInt32LE(at + 4)}
  }
}

function isTooNew(version: string): boolean {
  const [major = 0, minor = 0] = (/(\d+\.\d+)$/.exec(version)?.[1] ?? '').split('.').map(Number)
  return major > 5 || (major === 5 && minor > 13)
}

function unknownHelpers(objectFile: string): number[] {
  const helpers = callsOf(objectFile).filter(({kind}) => kind === 'helper')
  return [...new Set(helpers.map(({id}) => id).filter((id) => HELPERS[id] === undefined))]
}

test('no helper is newer than 5.13, and none is a kernel function', () => {
  const calls = callsOf(OBJECT_FILE)
  assert.ok(calls.length > 20, `only ${calls.length} calls were found`)
  assert.deepEqual(unknownHelpers(OBJECT_FILE), [])
  assert.ok(calls.every(({kind}) => kind !== 'kernel function'))
  const tooNew = Object.entries(HELPERS).filter(([, [, version]]) => isTooNew(version))
  assert.deepEqual(tooNew, [])
  assert.ok(isTooNew('4.1, in connect hooks 5.14') && isTooNew('6.1') && !isTooNew('5.13'))
})

test('a newer helper is noticed', {skip: noCompiler()}, () => {
  // bpf_ktime_get_tai_ns is of 6.1.
  using variant = new Variant([
    {
      file: 'connect6.c',
      from: '\tif (!km_is_managed(ctx))',
      to: '\tif (((__u64 (*)(void))208)() == 0)\n\t\treturn 1;\n\tif (!km_is_managed(ctx))',
    },
  ])
  assert.deepEqual(unknownHelpers(variant.objectFile), [208])
})

test('the verifier accepts every program; make prints sizes', {skip: skipReason()}, () => {
  const {status, stdout, stderr} = spawnSync('make', ['-s', '-C', join(OBJECT_FILE, '..'), 'stats'], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
  const rows = stdout
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/))
  assert.ok(rows.length >= 2, stdout)
  for (const [name, verdict, instructions, walked, stack] of rows) {
    assert.match(name ?? '', /_prog$/)
    assert.equal(verdict, 'accepted')
    assert.ok(Number(instructions) > 100 && Number(walked) >= 100, stdout)
    assert.ok(
      Number(walked) < 100_000,
      `${name}: the verifier walks ${walked} instructions of at most 1,000,000`,
    )
    assert.ok(Number(stack) > 0 && Number(stack) <= 512, stdout)
  }
})
