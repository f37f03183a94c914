// SPDX-License-Identifier: Apache-2.0
/** Names in a BPF file system, and the list of what has to be taken back when a load fails half-way. */
import {mkdirSync, rmdirSync, unlinkSync} from 'node:fs'
import {dirname} from 'node:path'
import {checked, kernelError, type NativeBpf} from './bpf-native.ts'

const ENOENT = 2

/** Steps that take back what was done, newest first. */
export class Undo {
  readonly #steps: (() => void)[] = []

  add(step: () => void): void {
    this.#steps.push(step)
  }

  /** Runs every step, also when one fails; returns the failures. */
  run(): unknown[] {
    const failures: unknown[] = []
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        step()
      } catch (thrown) {
        failures.push(thrown)
      }
    }
    return failures
  }
}

/** Descriptor of the pinned object, undefined where there is none. @throws KernelError */
export function openPin(native: NativeBpf, path: string): number | undefined {
  const fd = native.objGet(path)
  return fd === -ENOENT ? undefined : checked(fd, 'BPF_OBJ_GET', path)
}

/** Pins and makes the folders above; `undo` learns how to take both back. @throws KernelError */
export function pin(native: NativeBpf, fd: number, path: string, undo: Undo): void {
  makeFolder(dirname(path), undo)
  checked(native.objPin(fd, path), 'BPF_OBJ_PIN', path)
  undo.add(() => removePin(path))
}

/** Nothing happens where there is no pin. @throws KernelError */
export function removePin(path: string): void {
  try {
    unlinkSync(path)
  } catch (thrown) {
    const errno = errnoOf(thrown)
    if (errno !== ENOENT) throw kernelError('unlink', errno, path, {cause: thrown})
  }
}

/** Positive errno of a failure of node:fs; EIO where it is none. */
export function errnoOf(thrown: unknown): number {
  const errno = (thrown as {errno?: unknown}).errno
  return typeof errno === 'number' ? Math.abs(errno) : 5
}

function makeFolder(folder: string, undo: Undo): void {
  let first: string | undefined
  try {
    first = mkdirSync(folder, {recursive: true, mode: 0o700})
  } catch (thrown) {
    throw kernelError('mkdir', errnoOf(thrown), folder, {cause: thrown})
  }
  if (first === undefined) return
  undo.add(() => {
    for (let at = folder; at.length >= (first as string).length; at = dirname(at)) rmdirSync(at)
  })
}
