// SPDX-License-Identifier: Apache-2.0
/**
 * Objects of "another version": the sources of bpf/ with a few lines changed, built by the project's own Makefile.
 * Each change must match exactly once, so that a test fails when the sources move on.
 */
import {execFileSync, spawnSync} from 'node:child_process'
import {cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

const SOURCES = join(import.meta.dirname, '../../bpf')
const MAPS = 'include/kmesh_maps.h'

export interface Edit {
  readonly file: string
  readonly from: string
  readonly to: string
}

/** Why no object can be built here, or false. With KMESH_REQUIRE_KERNEL=1 never a reason to skip. */
export function noCompiler(): string | false {
  if (process.env['KMESH_REQUIRE_KERNEL'] === '1') return false
  const found = ['clang-14', 'clang'].some((name) => spawnSync(name, ['--version']).status === 0)
  return found ? false : 'needs clang'
}

/** Lines of one map's definition, from its first to its name. */
function inMap(name: string, from: string, to: string): Edit {
  const text = readFileSync(join(SOURCES, MAPS), 'utf8')
  const end = text.indexOf(`} ${name} SEC`)
  const definition = text.slice(text.lastIndexOf('struct {', end), end)
  return {file: MAPS, from: `${definition}} ${name} SEC`, to: `${definition.replace(from, to)}} ${name} SEC`}
}

export const mapSize = (name: string, was: number, is: number): Edit =>
  inMap(name, `max_entries, ${was})`, `max_entries, ${is})`)

/** Entries allocated beforehand: other flags, everything else the same. */
export const preallocated = (name: string): Edit => inMap(name, '__uint(map_flags, BPF_F_NO_PREALLOC);', '')

/** Least recently used entries go first: another type. */
export const leastRecentlyUsed = (name: string): Edit => ({
  ...inMap(name, 'BPF_MAP_TYPE_HASH', 'BPF_MAP_TYPE_LRU_HASH'),
  to: inMap(name, 'BPF_MAP_TYPE_HASH', 'BPF_MAP_TYPE_LRU_HASH').to.replace(
    '__uint(map_flags, BPF_F_NO_PREALLOC);',
    '',
  ),
})

export const longerService: readonly Edit[] = [
  {
    file: MAPS,
    from: '__u32 target_port[KM_PORT_SLOTS];\n',
    to: '__u32 target_port[KM_PORT_SLOTS];\n\t__u32 more[2];\n',
  },
  {file: MAPS, from: 'km_service_value) == 132', to: 'km_service_value) == 140'},
]

export const longerEndpointKey: readonly Edit[] = [
  {file: MAPS, from: '__u32 index; /* from 1 */', to: '__u32 index; /* from 1 */\n\t__u32 more;'},
  {file: MAPS, from: 'km_endpoint_key) == 12', to: 'km_endpoint_key) == 16'},
]

export const longerManageValue: readonly Edit[] = [
  {file: MAPS, from: '__u32 flags; /* 0 */', to: '__u32 flags; /* 0 */\n\t__u32 more;'},
]

export const longerManageKey: readonly Edit[] = [
  {
    file: MAPS,
    from: '\t\tstruct km_ip16 address;\n\t};\n};',
    to: '\t\tstruct km_ip16 address;\n\t};\n\t__u64 more;\n};',
  },
  {file: MAPS, from: 'km_manage_key) == 16', to: 'km_manage_key) == 24'},
]

export const moreGlobals: readonly Edit[] = [
  {
    file: 'include/kmesh_log.h',
    from: '__u32 bpf_log_level = KM_INFO;',
    to: '__u32 bpf_log_level = KM_INFO;\n__u32 km_more = 1;',
  },
]

export const longerSocketValue: readonly Edit[] = [
  {file: MAPS, from: '\t__u32 reserved_end;\n', to: '\t__u32 reserved_end;\n\t__u64 more;\n'},
  {file: MAPS, from: 'km_socket_value) == 64', to: 'km_socket_value) == 72'},
]

/** Other instructions, the same maps. */
export const moreInstructions: readonly Edit[] = [
  {
    file: 'connect4.c',
    from: '\tif (!km_is_managed(ctx))',
    to: '\tif (bpf_ktime_get_ns() == 0)\n\t\treturn 1;\n\tif (!km_is_managed(ctx))',
  },
]

/** Builds; the folder goes with `dispose`. */
export class Variant implements Disposable {
  readonly objectFile: string
  readonly #folder: string

  constructor(edits: readonly Edit[]) {
    this.#folder = mkdtempSync(join(tmpdir(), `kmt${process.pid}-variant-`))
    this.objectFile = join(this.#folder, 'kmesh.bpf.o')
    try {
      cpSync(SOURCES, this.#folder, {recursive: true})
      for (const edit of edits) this.#apply(edit)
      execFileSync('make', ['-s', '-B', '-C', this.#folder], {stdio: ['ignore', 'ignore', 'pipe']})
    } catch (thrown) {
      this[Symbol.dispose]()
      throw thrown
    }
  }

  #apply({file, from, to}: Edit): void {
    const path = join(this.#folder, file)
    const parts = readFileSync(path, 'utf8').split(from)
    if (parts.length !== 2 || from === to)
      throw new Error(`${file}: '${from}' is there ${parts.length - 1} times`)
    writeFileSync(path, parts.join(to))
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, {recursive: true, force: true})
  }
}
