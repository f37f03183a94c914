// SPDX-License-Identifier: Apache-2.0
/** The kernel's BPF objects behind the Bpf port. */
import {closeSync} from 'node:fs'
import type {Bpf, BpfLoadRequest, BpfLoadResult, BpfMap, BpfMapLayout, BpfRing} from '../ports.ts'
import {loadObject} from './bpf-load.ts'
import {KernelMap} from './bpf-map.ts'
import {checked, loadNativeBpf, type NativeBpf} from './bpf-native.ts'
import {BpfObject} from './bpf-object.ts'
import {removePin} from './bpf-pins.ts'
import {KernelRing} from './bpf-ring.ts'

class KernelBpf implements Bpf {
  readonly #native: NativeBpf

  constructor(native: NativeBpf) {
    this.#native = native
  }

  layouts(objectFile: string): readonly BpfMapLayout[] {
    using object = new BpfObject(this.#native, objectFile)
    return object.layouts()
  }

  load(request: BpfLoadRequest): BpfLoadResult {
    return loadObject(this.#native, request)
  }

  openPinned(pinPath: string): BpfMap {
    return this.#adopt(pinPath, (fd) => new KernelMap(this.#native, fd, pinPath))
  }

  openRing(pinPath: string): BpfRing {
    return this.#adopt(pinPath, (fd) => new KernelRing(this.#native, fd, pinPath))
  }

  unpin(pinPath: string): void {
    removePin(pinPath)
  }

  #adopt<T>(pinPath: string, make: (fd: number) => T): T {
    const fd = checked(this.#native.objGet(pinPath), 'BPF_OBJ_GET', pinPath)
    try {
      return make(fd)
    } catch (thrown) {
      closeSync(fd)
      throw thrown
    }
  }
}

/** Loads libbpf; nothing of the kernel is touched yet. @throws KmeshError `LibbpfMissing` */
export function createBpf(): Bpf {
  return new KernelBpf(loadNativeBpf())
}
