// SPDX-License-Identifier: Apache-2.0
// Goal: what is no usable control plane is told with the name of the file, before anything is started.
// Method: folders with scripts and hand-made ELF headers (e_machine is 2 bytes at 18: 62 x86-64, 183 AArch64).
import assert from 'node:assert/strict'
import {chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, test} from 'node:test'
import {findPrograms} from '../../src/lib/sandbox/real-control-plane/programs.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kmt-programs-'))
})
afterEach(() => rmSync(folder, {recursive: true, force: true}))

function elf(machine: number): Buffer {
  const header = Buffer.alloc(64)
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  header.writeUInt16LE(machine, 18)
  return header
}

function put(name: string, content: Buffer | string, mode = 0o755): string {
  const file = join(folder, name)
  writeFileSync(file, content)
  chmodSync(file, mode)
  return file
}

function problem(architecture = 'x64'): string {
  let message = 'nothing was refused'
  assert.throws(
    () => findPrograms(folder, architecture),
    (error: Error & {code?: string}) => {
      message = error.message
      return error.code === 'ControlPlaneProgram'
    },
  )
  return message
}

test('etcd and kube-apiserver are enough; the others are taken where they are', () => {
  const etcd = put('etcd', elf(62))
  const apiServer = put('kube-apiserver', '#!/bin/sh\n')
  assert.deepEqual(findPrograms(folder, 'x64'), {
    etcd,
    apiServer,
    controllerManager: undefined,
    scheduler: undefined,
  })
  const controllerManager = put('kube-controller-manager', elf(62))
  const scheduler = put('kube-scheduler', elf(62))
  assert.deepEqual(findPrograms(folder, 'x64'), {etcd, apiServer, controllerManager, scheduler})
})

test('a missing program', () => {
  assert.match(problem(), /^\/.*\/etcd is missing/)
  put('etcd', elf(62))
  assert.match(problem(), /^\/.*\/kube-apiserver is missing/)
})

test('a program for another machine, also an optional one', () => {
  const etcd = put('etcd', elf(62))
  put('kube-apiserver', elf(62))
  assert.equal(problem('arm64'), `${etcd} is a program for x64, this machine is arm64`)
  const scheduler = put('kube-scheduler', elf(183))
  assert.equal(problem(), `${scheduler} is a program for arm64, this machine is x64`)
  put('kube-scheduler', elf(8))
  assert.equal(problem(), `${scheduler} is a program for machine 8, this machine is x64`)
})

test('no program at all: text, an empty file, a folder, no right to execute', () => {
  const etcd = put('etcd', 'not a program, but longer than a header')
  assert.equal(problem(), `${etcd} is no Linux program`)
  put('etcd', '')
  assert.equal(problem(), `${etcd} is no Linux program`)
  put('etcd', elf(62), 0o644)
  assert.equal(problem(), `${etcd} is not executable`)
  rmSync(etcd)
  mkdirSync(etcd)
  assert.equal(problem(), `${etcd} is no file`)
})
