// SPDX-License-Identifier: Apache-2.0
// Goal: without namespaces and cgroups, ports and process groups still keep pods apart.
// Method: real processes and loopback sockets of this user; the Commands port notes what it is asked.
import assert from 'node:assert/strict'
import {once} from 'node:events'
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {createServer} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {createClock} from '../../../src/lib/adapters/clock.ts'
import {systemCommands} from '../../../src/lib/adapters/commands.ts'
import {addressPlan} from '../../../src/lib/sandbox/nodes/addresses.ts'
import {createMachine, type Machine} from '../../../src/lib/sandbox/nodes/machine.ts'
import {sandboxPaths} from '../../../src/lib/sandbox/state.ts'
import {eventually} from './node-fixture.ts'

let scratch = ''
let machine: Machine

before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'kmt-machine-'))
  machine = createMachine({
    commands: systemCommands(),
    clock: createClock(),
    paths: sandboxPaths('kmt-machine', scratch, undefined, join(scratch, 'run')),
    plan: addressPlan('kmt-machine', 'dual'),
    netns: undefined,
    killGroup: (pid) => {
      try {
        process.kill(-pid, 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    },
  })
})

after(() => rmSync(scratch, {recursive: true, force: true}))

test('two places have the same port; each connection gets to its own', async () => {
  const answers: string[] = []
  for (const place of ['memory:a', 'memory:b']) {
    const server = createServer((socket) => socket.end(place))
    await machine.sockets.listen(server, place, '10.0.0.1', 8080)
    const socket = machine.sockets.connect(place, 'fd00::1', 8080)
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    answers.push(chunk.toString())
    server.close()
  }
  assert.deepEqual(answers, ['memory:a', 'memory:b'])
})

test('a port that nobody declared is no port of this machine', async () => {
  const socket = machine.sockets.connect('memory:a', '127.0.0.1', 22)
  const [error] = (await once(socket, 'error')) as [Error]
  assert.match(error.message, /nothing stands in for port 22/)
})

test('a container is told which ports stand in for its own', async () => {
  const variables = await machine.standIns('memory:c', [8080, 9090])
  assert.deepEqual(Object.keys(variables), ['KMESHCTL_PORT_8080', 'KMESHCTL_PORT_9090'])
  const server = createServer((socket) => socket.end('here'))
  await new Promise<void>((resolve) =>
    server.listen(Number(variables['KMESHCTL_PORT_9090']), '127.0.0.1', resolve),
  )
  const [chunk] = (await once(machine.sockets.connect('memory:c', '10.0.0.1', 9090), 'data')) as [Buffer]
  assert.equal(chunk.toString(), 'here')
  server.close()
})

test('killing a "cgroup" also ends what the container left running; others live', async () => {
  const start = (cgroupPath: string, script: string) =>
    machine.commands.start({
      file: '/bin/sh',
      args: ['-c', script],
      env: {PATH: '/usr/bin:/bin'},
      outputFile: join(scratch, 'output'),
      namespacePath: 'memory:x',
      cgroupPath,
      user: 0,
      group: 0,
    })
  const leaving = await start('memory:n/kubepods/podA/main', 'sleep 300 & echo $!')
  const other = await start('memory:n/kubepods/podB/main', 'exec sleep 300')
  await leaving.exited
  const child = Number(readFileSync(join(scratch, 'output'), 'utf8'))
  assert.ok(isRunning(child), 'its child runs on')
  assert.ok(await machine.cgroups.remove('memory:n/kubepods/podA', 5000))
  await eventually('the child is gone', () => !isRunning(child))
  assert.ok(isRunning(other.pid))
  assert.ok(await machine.cgroups.remove('memory:n', 5000))
  assert.equal((await other.exited).signal, 'SIGKILL')
})

/** A dead process that nobody has waited for yet does not run. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
