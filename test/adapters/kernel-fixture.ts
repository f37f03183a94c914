// SPDX-License-Identifier: Apache-2.0
/**
 * What a test of the real kernel needs: a BPF file system, a cgroup and a
 * network namespace of its own, all named after this process and taken away by
 * `dispose`. The process itself joins the cgroup when told so: hooks go by the
 * cgroup in which a socket is made.
 */
import {execFileSync} from 'node:child_process'
import {accessSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {MAPS} from '../../src/lib/model/maps.ts'
import type {BpfLoadRequest} from '../../src/lib/ports.ts'

export const OBJECT_FILE = join(import.meta.dirname, '../../bpf/kmesh.bpf.o')
const CGROUPS = '/sys/fs/cgroup/unified'

/** Why the kernel cannot be tested here, or false. With KMESH_REQUIRE_KERNEL=1 never a reason to skip. */
export function skipReason(): string | false {
  if (process.env['KMESH_REQUIRE_KERNEL'] === '1') return false
  if (process.getuid?.() !== 0) return 'needs root'
  try {
    accessSync(join(cgroupMount(), 'cgroup.procs'))
  } catch {
    return 'needs a cgroup2 mount'
  }
  return readFileSync('/proc/filesystems', 'utf8').includes('\tbpf\n') ? false : 'needs the bpf file system'
}

function cgroupMount(): string {
  const mount = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find((fields) => fields[2] === 'cgroup2')
  return mount?.[1] ?? CGROUPS
}

function run(...command: [string, ...string[]]): string {
  const [program, ...args] = command
  return execFileSync(program, args, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})
}

let serial = 0

export class KernelFixture implements Disposable {
  readonly name: string
  readonly bpffs: string
  readonly cgroup: string
  readonly #undo: (() => unknown)[] = []

  constructor() {
    serial += 1
    this.name = `kmt${process.pid}-${serial}`
    this.bpffs = mkdtempSync(join(tmpdir(), `${this.name}-`))
    this.#undo.push(() => rmdirSync(this.bpffs))
    try {
      run('mount', '-t', 'bpf', 'none', this.bpffs)
      this.#undo.push(() => run('umount', this.bpffs))
      this.cgroup = this.addCgroup('a')
    } catch (thrown) {
      this[Symbol.dispose]()
      throw thrown
    }
  }

  addCgroup(suffix: string): string {
    const path = join(cgroupMount(), `${this.name}-${suffix}`)
    mkdirSync(path)
    this.#undo.push(() => existsSync(path) && rmdirSync(path))
    return path
  }

  /** Path of a new network namespace whose loopback is up and has `addresses` besides its own. */
  addNamespace(suffix: string, addresses: readonly string[] = []): string {
    const name = `${this.name}-${suffix}`
    run('ip', 'netns', 'add', name)
    this.#undo.push(() => existsSync(`/run/netns/${name}`) && run('ip', 'netns', 'delete', name))
    run('ip', '-n', name, 'link', 'set', 'lo', 'up')
    for (const address of addresses)
      run('ip', '-n', name, 'address', 'add', address, 'dev', 'lo', ...nodad(address))
    return `/run/netns/${name}`
  }

  /** Before `dispose` does. */
  removeNamespace(suffix: string): void {
    run('ip', 'netns', 'delete', `${this.name}-${suffix}`)
  }

  ip(suffix: string, ...args: string[]): string {
    return run('ip', '-n', `${this.name}-${suffix}`, ...args)
  }

  /** From here to `dispose` sockets of this process belong to the cgroup. */
  joinCgroup(path = this.cgroup): void {
    const line = readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)
    const before = join(cgroupMount(), line?.[1] ?? '/', 'cgroup.procs')
    this.moveTo(path)
    this.#undo.push(() => writeFileSync(before, String(process.pid)))
  }

  /** Another cgroup for sockets that are made from now on; after `joinCgroup`, which comes back at the end. */
  moveTo(path: string): void {
    writeFileSync(join(path, 'cgroup.procs'), String(process.pid))
  }

  pin(name: string): string {
    return join(this.bpffs, 'kmesh', name)
  }

  /** Everything of the object, attached to the cgroup. */
  request(change: Partial<BpfLoadRequest> = {}): BpfLoadRequest {
    return {
      objectFile: OBJECT_FILE,
      mapPins: Object.fromEntries(MAPS.map((row) => [row.name, this.pin(`map/${row.name}`)])),
      mapSizes: {},
      attachments: [
        {
          program: 'cgroup_connect4_prog',
          linkPin: this.pin('sockconn/sockconn_prog'),
          cgroupPath: this.cgroup,
        },
        {
          program: 'cgroup_connect6_prog',
          linkPin: this.pin('sockconn/sockconn6_prog'),
          cgroupPath: this.cgroup,
        },
      ],
      ...change,
    }
  }

  [Symbol.dispose](): void {
    const failures: unknown[] = []
    for (const step of this.#undo.splice(0).reverse()) {
      try {
        step()
      } catch (thrown) {
        failures.push(thrown)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `${this.name} is not cleaned up`)
  }
}

function nodad(address: string): string[] {
  return address.includes(':') ? ['nodad'] : []
}
