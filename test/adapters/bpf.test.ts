// SPDX-License-Identifier: Apache-2.0
// Goal: the kernel's adapter and the one in memory keep one contract; what only the kernel can show holds too.
// Method: the contract suite on both; then failures of loading, links, and the read budget on the kernel.
import assert from 'node:assert/strict'
import {execFileSync, spawnSync} from 'node:child_process'
import {readdirSync, rmdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, test} from 'node:test'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {loadNativeBpf} from '../../src/lib/adapters/bpf-native.ts'
import {MemoryBpf} from '../../src/lib/adapters/memory-bpf.ts'
import {KernelError, KmeshError} from '../../src/lib/errors.ts'
import {BACKEND} from '../../src/lib/model/maps.ts'
import type {Bpf} from '../../src/lib/ports.ts'
import {type BpfSubject, bpfContract} from '../contracts/bpf-contract.ts'
import {bpfMapContract} from '../contracts/bpf-map-contract.ts'
import {KernelFixture, OBJECT_FILE, skipReason} from './kernel-fixture.ts'

const skip = skipReason()

function memorySubject(): BpfSubject {
  const pin = (name: string): string => `/fake/${name}`
  return {
    bpf: new MemoryBpf((path) => path === '/fake-cgroup'),
    pin,
    request: (change) => ({
      objectFile: OBJECT_FILE,
      mapPins: Object.fromEntries(
        [
          'km_frontend',
          'km_service',
          'km_endpoint',
          'km_backend',
          'km_manage',
          'km_globals',
          'kmesh_version',
          'km_sockstorage',
          'km_log_event',
        ].map((name) => [name, pin(`map/${name}`)]),
      ),
      mapSizes: {},
      attachments: [
        {program: 'cgroup_connect4_prog', linkPin: pin('link4'), cgroupPath: '/fake-cgroup'},
        {program: 'cgroup_connect6_prog', linkPin: pin('link6'), cgroupPath: '/fake-cgroup'},
      ],
      ...change,
    }),
    [Symbol.dispose]: () => undefined,
  }
}

function kernelSubject(): BpfSubject {
  const fixture = new KernelFixture()
  return {
    bpf: createBpf(),
    pin: (name) => fixture.pin(name),
    request: (change) => fixture.request(change),
    [Symbol.dispose]: () => fixture[Symbol.dispose](),
  }
}

for (const contract of [bpfContract, bpfMapContract]) {
  contract('in memory', false, memorySubject)
  contract('in the kernel', skip, kernelSubject)
}

describe('what only the kernel shows', {skip}, () => {
  let fixture: KernelFixture
  let bpf: Bpf

  beforeEach(() => {
    fixture = new KernelFixture()
    bpf = createBpf()
  })
  afterEach(() => fixture[Symbol.dispose]())

  /** The kernel itself puts maps.debug and progs.debug there. */
  function pinned(): string[] {
    return readdirSync(fixture.bpffs).filter((name) => !name.endsWith('.debug'))
  }

  function attached(cgroup: string): {id: number; name: string}[] {
    const text = execFileSync('bpftool', ['-j', 'cgroup', 'show', cgroup], {encoding: 'utf8'})
    return JSON.parse(text.trim() || '[]')
  }

  test('a failed load leaves neither pin nor folder', () => {
    const {attachments} = fixture.request()
    const wrong = {...attachments[1]!, cgroupPath: '/nonexistent'}
    assert.throws(() => bpf.load(fixture.request({attachments: [attachments[0]!, wrong]})), KernelError)
    assert.deepEqual(pinned(), [])
    assert.deepEqual(attached(fixture.cgroup), [])
  })

  test('a folder that is no cgroup is told as that, not as a bad descriptor', () => {
    const {attachments} = fixture.request()
    const wrong = {...attachments[0]!, cgroupPath: '/tmp'}
    assert.throws(() => bpf.load(fixture.request({attachments: [wrong]})), {code: 'NoCgroup2'})
    assert.deepEqual(pinned(), [])
  })

  test('a failed reload puts the old program back under a link that was swapped', () => {
    bpf.load(fixture.request())
    const before = attached(fixture.cgroup)
    assert.deepEqual(before.map((program) => program.name).sort(), [
      'cgroup_connect4_prog',
      'cgroup_connect6_prog',
    ])
    const {attachments} = fixture.request()
    const wrong = {...attachments[1]!, cgroupPath: '/nonexistent'}
    assert.throws(() => bpf.load(fixture.request({attachments: [attachments[0]!, wrong]})), KernelError)
    assert.deepEqual(attached(fixture.cgroup), before)
    bpf.load(fixture.request())
    assert.notDeepEqual(attached(fixture.cgroup), before)
    assert.equal(attached(fixture.cgroup).length, 2)
  })

  test('a pinned link of a cgroup that is gone, or of another one, is replaced', () => {
    const gone = fixture.addCgroup('gone')
    const at = (cgroupPath: string) =>
      fixture.request({attachments: fixture.request().attachments.map((item) => ({...item, cgroupPath}))})
    bpf.load(at(gone))
    rmdirSync(gone)
    assert.equal(bpf.load(at(fixture.cgroup)).createdLinks.length, 2)
    assert.equal(attached(fixture.cgroup).length, 2)
    const other = fixture.addCgroup('gone')
    assert.equal(bpf.load(at(other)).createdLinks.length, 2)
    assert.equal(attached(other).length, 2)
    assert.deepEqual(attached(fixture.cgroup), [])
  })

  test('a program that the verifier refuses is named, with the verifier’s reason', () => {
    const source = join('/tmp', `${fixture.name}.c`)
    const object = join('/tmp', `${fixture.name}.o`)
    writeFileSync(source, BAD_PROGRAM)
    try {
      execFileSync(compiler(), ['-target', 'bpf', '-O2', '-g', '-c', source, '-o', object])
      const request = {objectFile: object, mapPins: {}, mapSizes: {}, attachments: []}
      assert.throws(
        () => bpf.load(request),
        (thrown) => {
          assert.ok(thrown instanceof KernelError)
          assert.match(thrown.message, /EACCES/)
          assert.match(thrown.hints.join(' '), /verifier: invalid bpf_context access/)
          assert.match(String((thrown.cause as Error).message), /bad_program/)
          assert.match(String((thrown.cause as Error).message), /invalid bpf_context access/)
          return true
        },
      )
    } finally {
      execFileSync('rm', ['-f', source, object])
    }
  })

  test('a file that is no object, or is not there, says so', () => {
    for (const objectFile of ['/nonexistent.o', import.meta.filename]) {
      assert.throws(
        () => bpf.load(fixture.request({objectFile})),
        (thrown) => thrown instanceof KernelError && thrown.message.includes(objectFile),
      )
    }
    assert.deepEqual(pinned(), [])
  })

  test('opening and closing many times keeps no descriptor', () => {
    bpf.load(fixture.request())
    const open = (): number => readdirSync('/proc/self/fd').length
    const before = open()
    for (let n = 0; n < 200; n++) {
      using map = bpf.openPinned(fixture.pin('map/km_service'))
      using ring = bpf.openRing(fixture.pin('map/km_log_event'))
      assert.ok(map.info.id !== 0 && ring.dropped === 0)
      assert.throws(() => bpf.openRing(fixture.pin('map/km_service')))
    }
    bpf.load(fixture.request())
    assert.equal(open(), before)
  })

  test('100,000 backends come out complete', () => {
    bpf.load(fixture.request())
    using map = bpf.openPinned(fixture.pin('map/km_backend'))
    const count = 100_000
    const keys = new Uint8Array(Uint32Array.from({length: count}, (_, at) => at + 1).buffer)
    const values = new Uint8Array(count * BACKEND.valueBytes)
    map.updateBatch({count, keys, values})
    let sum = 0
    let read = 0
    for (const batch of map.read()) {
      read += batch.count
      for (const uid of new Uint32Array(batch.keys.slice().buffer)) sum += uid
    }
    assert.equal(read, count)
    assert.equal(sum, (count * (count + 1)) / 2)
  })
})

/** Any clang will do. */
function compiler(): string {
  return spawnSync('clang-14', ['--version']).status === 0 ? 'clang-14' : 'clang'
}

const BAD_PROGRAM = `
__attribute__((section("cgroup/connect4"), used)) int bad_program(void *ctx)
{
	return *(volatile int *)(ctx + 4000);
}
char LICENSE[] __attribute__((section("license"), used)) = "GPL";
`

test('without the library the error says what to install', () => {
  assert.throws(
    () => loadNativeBpf('libbpf-that-is-not-there.so.1'),
    (thrown) =>
      thrown instanceof KmeshError &&
      thrown.code === 'LibbpfMissing' &&
      thrown.hints.join().includes('libbpf1'),
  )
})
