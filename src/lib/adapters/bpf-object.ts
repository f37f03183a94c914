// SPDX-License-Identifier: Apache-2.0
/** One BPF object file in libbpf's hands: its maps, its programs, and why the kernel refused it. */
import koffi from 'koffi'
import {KmeshError, LayoutError} from '../errors.ts'
import {GLOBALS} from '../model/maps.ts'
import type {BpfMapLayout} from '../ports.ts'
import {type Address, kernelError, type NativeBpf} from './bpf-native.ts'

/** libbpf names the globals' map after the file (`kmesh.data`); we know it under its pin's name. */
const DATA_SUFFIX = '.data'
const LOG_BYTES = 1 << 20
/** The verifier says what is wrong at the end. */
const LOG_TAIL_CHARS = 2000
const LINE_BYTES = 1024
const MAX_LINES = 20
const LIBBPF_WARN = 0

export interface ObjectMap {
  readonly name: string
  readonly handle: Address
}

export class BpfObject implements Disposable {
  readonly maps: readonly ObjectMap[]
  readonly #native: NativeBpf
  readonly #file: string
  readonly #handle: Address
  readonly #programs = new Map<string, Address>()

  /** @throws KernelError when the file cannot be read as a BPF object */
  constructor(native: NativeBpf, file: string) {
    this.#native = native
    this.#file = file
    const opened = withMessages(native, () => native.objectOpen(file, null))
    if (opened.result === null) {
      throw kernelError('bpf_object__open', koffi.errno(), file, {cause: asCause(opened.messages)})
    }
    this.#handle = opened.result
    this.maps = this.#listMaps()
    for (const program of walk((previous) => native.nextProgram(this.#handle, previous))) {
      this.#programs.set(native.programName(program), program)
    }
  }

  /** @throws LayoutError when the object has no such map */
  map(name: string): ObjectMap {
    const found = this.maps.find((map) => map.name === name)
    if (found === undefined) throw new LayoutError(`${this.#file} has no map ${name}`)
    return found
  }

  layouts(): readonly BpfMapLayout[] {
    const native = this.#native
    return this.maps.map(({name, handle}) => ({
      name,
      type: native.mapType(handle),
      keyBytes: native.mapKeyBytes(handle),
      valueBytes: native.mapValueBytes(handle),
      maxEntries: native.mapMaxEntries(handle),
      flags: native.mapFlags(handle),
    }))
  }

  /** Descriptor (stays the object's) and attach type of a loaded program. @throws LayoutError */
  program(name: string): {readonly fd: number; readonly attachType: number} {
    const handle = this.#programs.get(name)
    if (handle === undefined) throw new LayoutError(`${this.#file} has no program ${name}`)
    return {fd: this.#native.programFd(handle), attachType: this.#native.programAttachType(handle)}
  }

  /** Creates maps that were not given and loads the programs. @throws KernelError with the end of the verifier's log */
  load(): void {
    const log: bigint = koffi.alloc('char', LOG_BYTES)
    const logBytes = new Uint8Array(koffi.view(log, LOG_BYTES))
    try {
      logBytes[0] = 0
      for (const program of this.#programs.values()) this.#native.programSetLog(program, log, LOG_BYTES)
      const {result, messages} = withMessages(this.#native, () => this.#native.objectLoad(this.#handle))
      if (result >= 0) return
      const verifier = textUntilNul(logBytes).trimEnd()
      const details = [...messages, ...(verifier === '' ? [] : [shortened(verifier)])]
      throw kernelError('bpf_object__load', -result, this.#file, {
        cause: asCause(details),
        hints: reasons(verifier),
      })
    } finally {
      koffi.free(log)
    }
  }

  [Symbol.dispose](): void {
    this.#native.objectClose(this.#handle)
  }

  #listMaps(): ObjectMap[] {
    return walk((previous) => this.#native.nextMap(this.#handle, previous)).map((handle) => {
      const name = this.#native.mapName(handle)
      return {name: name.endsWith(DATA_SUFFIX) ? GLOBALS.name : name, handle}
    })
  }
}

function walk(next: (previous: Address) => Address): Address[] {
  const found: Address[] = []
  for (let item = next(null); item !== null; item = next(item)) found.push(item)
  return found
}

/** Runs `call` and keeps what libbpf would have printed as warnings. */
function withMessages<T>(native: NativeBpf, call: () => T): {result: T; messages: string[]} {
  const messages: string[] = []
  const buffer = new Uint8Array(LINE_BYTES)
  const print = (level: number, format: Address, values: Address): number => {
    if (level !== LIBBPF_WARN || messages.length >= MAX_LINES) return 0
    native.vsnprintf(buffer, LINE_BYTES, format, values)
    const text = textUntilNul(buffer).trim()
    // It repeats the verifier's log line by line, which we show on our own.
    if (text !== '' && !text.includes('PROG LOAD LOG')) messages.push(text)
    return 0
  }
  // A va_list is handed over as an address on amd64 and arm64.
  const callback = koffi.register(print, koffi.pointer(koffi.proto('int', ['int', 'void*', 'void*'])))
  native.setPrint(callback)
  try {
    return {result: call(), messages}
  } finally {
    native.setPrint(null)
    koffi.unregister(callback)
  }
}

function asCause(lines: readonly string[]): Error | undefined {
  return lines.length === 0 ? undefined : new KmeshError(lines.join('\n'), {code: 'Libbpf'})
}

function textUntilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString('utf8')
}

/** The verifier ends with statistics; its reason stands right before. */
function reasons(verifier: string): string[] {
  const lines = verifier.split('\n').filter((line) => line !== '' && !line.startsWith('processed '))
  return lines.slice(-2).map((line) => `verifier: ${line}`)
}

function shortened(text: string): string {
  return text.length <= LOG_TAIL_CHARS ? text : `[...]${text.slice(-LOG_TAIL_CHARS)}`
}
