// SPDX-License-Identifier: Apache-2.0
/**
 * libbpf.so.1 and the few libc functions beside it, as typed calls. Functions of
 * libbpf 1.x give a negative errno; libc's give -1 and set errno. Object, map
 * and program handles are addresses.
 */
import koffi from 'koffi'
import {KernelError, KmeshError, messageOf} from '../errors.ts'

/** Address in this process, 0n or null for none. */
export type Address = bigint | null

type Bytes = Uint8Array | Uint32Array | null

export interface NativeBpf {
  objectOpen(file: string, options: null): Address
  objectLoad(object: Address): number
  objectClose(object: Address): void
  nextMap(object: Address, previous: Address): Address
  nextProgram(object: Address, previous: Address): Address
  mapName(map: Address): string
  mapType(map: Address): number
  mapKeyBytes(map: Address): number
  mapValueBytes(map: Address): number
  mapMaxEntries(map: Address): number
  mapFlags(map: Address): number
  mapSetMaxEntries(map: Address, maxEntries: number): number
  mapReuse(map: Address, fd: number): number
  mapFd(map: Address): number
  programName(program: Address): string
  programFd(program: Address): number
  programAttachType(program: Address): number
  programSetLog(program: Address, buffer: Address, bytes: number): number
  setPrint(callback: Address): Address
  objGet(path: string): number
  objPin(fd: number, path: string): number
  infoByFd(fd: number, info: Bytes, length: Uint32Array): number
  programById(id: number): number
  linkCreate(programFd: number, targetFd: number, attachType: number, options: null): number
  linkUpdate(linkFd: number, programFd: number, options: null): number
  lookup(fd: number, key: Bytes, value: Bytes): number
  update(fd: number, key: Bytes, value: Bytes, flags: number): number
  remove(fd: number, key: Bytes): number
  nextKey(fd: number, key: Bytes, next: Bytes): number
  lookupBatch(
    fd: number,
    from: Bytes,
    to: Bytes,
    keys: Bytes,
    values: Bytes,
    count: Uint32Array,
    options: null,
  ): number
  updateBatch(fd: number, keys: Bytes, values: Bytes, count: Uint32Array, options: null): number
  mmap(at: null, bytes: number, protection: number, flags: number, fd: number, offset: number): bigint
  munmap(at: bigint, bytes: number): number
  pageBytes(): number
  vsnprintf(target: Uint8Array, bytes: number, format: Address, values: Address): number
}

const LIBBPF: Readonly<Record<string, string>> = {
  objectOpen: 'void* bpf_object__open_file(const char* path, void* opts)',
  objectLoad: 'int bpf_object__load(void* obj)',
  objectClose: 'void bpf_object__close(void* obj)',
  nextMap: 'void* bpf_object__next_map(void* obj, void* prev)',
  nextProgram: 'void* bpf_object__next_program(void* obj, void* prev)',
  mapName: 'const char* bpf_map__name(void* map)',
  mapType: 'int bpf_map__type(void* map)',
  mapKeyBytes: 'uint32_t bpf_map__key_size(void* map)',
  mapValueBytes: 'uint32_t bpf_map__value_size(void* map)',
  mapMaxEntries: 'uint32_t bpf_map__max_entries(void* map)',
  mapFlags: 'uint32_t bpf_map__map_flags(void* map)',
  mapSetMaxEntries: 'int bpf_map__set_max_entries(void* map, uint32_t max)',
  mapReuse: 'int bpf_map__reuse_fd(void* map, int fd)',
  mapFd: 'int bpf_map__fd(void* map)',
  programName: 'const char* bpf_program__name(void* prog)',
  programFd: 'int bpf_program__fd(void* prog)',
  programAttachType: 'int bpf_program__expected_attach_type(void* prog)',
  programSetLog: 'int bpf_program__set_log_buf(void* prog, void* buf, size_t size)',
  setPrint: 'void* libbpf_set_print(void* callback)',
  objGet: 'int bpf_obj_get(const char* path)',
  objPin: 'int bpf_obj_pin(int fd, const char* path)',
  infoByFd: 'int bpf_obj_get_info_by_fd(int fd, void* info, void* len)',
  programById: 'int bpf_prog_get_fd_by_id(uint32_t id)',
  linkCreate: 'int bpf_link_create(int prog, int target, int type, void* opts)',
  linkUpdate: 'int bpf_link_update(int link, int prog, void* opts)',
  lookup: 'int bpf_map_lookup_elem(int fd, const void* key, void* value)',
  update: 'int bpf_map_update_elem(int fd, const void* key, const void* value, uint64_t flags)',
  remove: 'int bpf_map_delete_elem(int fd, const void* key)',
  nextKey: 'int bpf_map_get_next_key(int fd, const void* key, void* next)',
  lookupBatch:
    'int bpf_map_lookup_batch(int fd, void* from, void* to, void* keys, void* values, void* count, void* opts)',
  updateBatch:
    'int bpf_map_update_batch(int fd, const void* keys, const void* values, void* count, void* opts)',
}

const LIBC: Readonly<Record<string, string>> = {
  mmap: 'void* mmap(void* at, size_t bytes, int prot, int flags, int fd, int64_t offset)',
  munmap: 'int munmap(void* at, size_t bytes)',
  pageBytes: 'int getpagesize()',
  vsnprintf: 'int vsnprintf(void* target, size_t bytes, void* format, void* values)',
}

/** @throws KmeshError `LibbpfMissing` when the library is not there or too old. */
export function loadNativeBpf(library = 'libbpf.so.1'): NativeBpf {
  const native: Record<string, unknown> = {}
  try {
    bind(library, LIBBPF, native)
    bind('libc.so.6', LIBC, native)
  } catch (cause) {
    throw new KmeshError(`cannot use ${library}: ${messageOf(cause)}`, {
      code: 'LibbpfMissing',
      hints: ['install libbpf 1.x (Debian and Ubuntu: apt-get install libbpf1)'],
      cause,
    })
  }
  const bound = native as unknown as NativeBpf
  // Without this libbpf writes to stderr by itself; loading collects the text instead.
  bound.setPrint(null)
  return bound
}

function bind(library: string, definitions: Readonly<Record<string, string>>, into: Record<string, unknown>) {
  const handle = koffi.load(library)
  for (const [name, definition] of Object.entries(definitions)) into[name] = handle.func(definition)
}

/** Gives `result` back when it is no failure. @throws KernelError */
export function checked(result: number, call: string, target: string): number {
  if (result < 0) throw kernelError(call, -result, target)
  return result
}

const EPERM = 1

export function kernelError(
  call: string,
  errno: number,
  target: string,
  options: {readonly cause?: unknown; readonly hints?: readonly string[]} = {},
): KernelError {
  const privileges = errno === EPERM ? ['run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN'] : []
  return new KernelError(call, errno, target, {...options, hints: [...privileges, ...(options.hints ?? [])]})
}
