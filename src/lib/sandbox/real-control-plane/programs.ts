// SPDX-License-Identifier: Apache-2.0
/** Finds the programs of a Kubernetes control plane in a folder, as `setup-envtest` and release archives lay them out. */
import {accessSync, closeSync, constants, openSync, readSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {KmeshError, messageOf} from '../../errors.ts'

/** Absolute paths of the programs. */
export interface Programs {
  readonly etcd: string
  readonly apiServer: string
  /** undefined: the sandbox's own controllers run in its place. */
  readonly controllerManager: string | undefined
  /** undefined: the sandbox's own scheduler runs in its place. */
  readonly scheduler: string | undefined
}

/** Node's `process.arch` -> e_machine of an ELF header. */
const MACHINES: Readonly<Record<string, number>> = {
  x64: 62,
  arm64: 183,
  ia32: 3,
  arm: 40,
  ppc64: 21,
  s390x: 22,
}
const HEADER_BYTES = 20
const ELF_MAGIC = 0x7f454c46

/**
 * @param directory absolute
 * @param architecture as Node names it, such as `x64`
 * @throws KmeshError `ControlPlaneProgram` that names the file which is missing, no program or for another machine
 */
export function findPrograms(directory: string, architecture: string): Programs {
  const required = (name: string): string => {
    const file = join(directory, name)
    if (!exists(file))
      throw refused(`${file} is missing: a control plane needs etcd and kube-apiserver there`)
    return checked(file, architecture)
  }
  const optional = (name: string): string | undefined => {
    const file = join(directory, name)
    return exists(file) ? checked(file, architecture) : undefined
  }
  return {
    etcd: required('etcd'),
    apiServer: required('kube-apiserver'),
    controllerManager: optional('kube-controller-manager'),
    scheduler: optional('kube-scheduler'),
  }
}

function exists(file: string): boolean {
  try {
    statSync(file)
    return true
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return false
    throw refused(`${file} cannot be looked at: ${messageOf(error)}`, error)
  }
}

function checked(file: string, architecture: string): string {
  if (!statSync(file).isFile()) throw refused(`${file} is no file`)
  try {
    accessSync(file, constants.X_OK)
  } catch (error) {
    throw refused(`${file} is not executable`, error)
  }
  const problem = headerProblem(headerOf(file), architecture)
  if (problem !== undefined) throw refused(`${file} ${problem}`)
  return file
}

function headerOf(file: string): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  const fd = openSync(file, 'r')
  try {
    return header.subarray(0, readSync(fd, header, 0, HEADER_BYTES, 0))
  } finally {
    closeSync(fd)
  }
}

/** Why this machine cannot run it; undefined where it can, as far as the first bytes tell. */
function headerProblem(header: Buffer, architecture: string): string | undefined {
  // A script of the operator's own may wrap the program.
  if (header.subarray(0, 2).toString('latin1') === '#!') return undefined
  if (header.length < HEADER_BYTES || header.readUInt32BE(0) !== ELF_MAGIC) return 'is no Linux program'
  const isBigEndian = header[5] === 2
  const machine = isBigEndian ? header.readUInt16BE(18) : header.readUInt16LE(18)
  if (machine === MACHINES[architecture]) return undefined
  const [name = `machine ${machine}`] = Object.entries(MACHINES).find(([, value]) => value === machine) ?? []
  return `is a program for ${name}, this machine is ${architecture}`
}

function refused(message: string, cause?: unknown): KmeshError {
  return new KmeshError(message, {
    code: 'ControlPlaneProgram',
    cause,
    hints: ['setup-envtest use 1.33 -p path prints a folder that has both'],
  })
}
