// SPDX-License-Identifier: Apache-2.0
// Goal: two pods on two nodes reach each other over IPv4 and IPv6, with their own source address.
// Method: real namespaces and processes, no API; the echo program answers, its client mode asks.
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {enterPrefix, systemCommands} from '../../../src/lib/adapters/commands.ts'
import {addressPlan} from '../../../src/lib/sandbox/nodes/addresses.ts'
import {makeCgroup, removeCgroup} from '../../../src/lib/sandbox/nodes/cgroups.ts'
import {createNetwork} from '../../../src/lib/sandbox/nodes/network.ts'
import {sandboxPaths} from '../../../src/lib/sandbox/state.ts'
import {testClock} from '../support.ts'

const ECHO = join(import.meta.dirname, '../../../src/lib/sandbox/echo.ts')
const name = `kmt${process.pid}`
const scratch = mkdtempSync(join(tmpdir(), `${name}-`))
const paths = sandboxPaths(name, {XDG_STATE_HOME: scratch}, readFileSync('/proc/mounts', 'utf8'))
const plan = addressPlan(name, 'dual')
const commands = systemCommands()
const network = createNetwork(commands, paths, plan)
const nodes = ['node-1', 'node-2']
const pods = nodes.map((node, index) => ({
  node: {name: node, index: index + 1},
  namespace: 'shop',
  name: `pod-${index + 1}`,
  uid: `${index + 1}0000000-0000-4000-8000-000000000000`,
  addresses: plan.podAddresses(index + 1, 2),
}))

before(async () => {
  await network.build(nodes)
  for (const pod of pods) {
    await network.addPod(pod.node, pod)
    const cgroup = join(paths.cgroupRoot, pod.node.name, 'kubepods', `pod${pod.uid}`, 'main')
    makeCgroup(cgroup)
    await commands.start({
      file: process.execPath,
      args: [ECHO],
      env: {POD_NAME: pod.name, NODE_NAME: pod.node.name},
      outputFile: join(scratch, `${pod.name}.log`),
      namespacePath: network.podNamespace(pod),
      cgroupPath: cgroup,
    })
  }
  await sleep(300)
})

after(async () => {
  const gone = await removeCgroup(paths.cgroupRoot, testClock(), 5000)
  for (const pod of pods) await network.removePod(pod.node.name, pod)
  for (const suffix of ['fabric', ...nodes]) {
    execFileSync('ip', ['netns', 'del', `${paths.namespacePrefix}${suffix}`])
  }
  rmSync(scratch, {recursive: true})
  assert.ok(gone, `${paths.cgroupRoot} is still there`)
})

async function ask(from: number, address: string): Promise<Record<string, unknown>> {
  const [file = '', ...args] = [
    ...enterPrefix({namespacePath: network.podNamespace(pods[from]!)}),
    process.execPath,
    ECHO,
    'connect',
    address,
    '8080',
  ]
  return JSON.parse(await commands.run({file, args}))
}

for (const [from, to] of [
  [0, 1],
  [1, 0],
] as const) {
  for (const family of ['IPv4', 'IPv6'] as const) {
    test(`pod ${from + 1} reaches pod ${to + 1} over ${family}`, async () => {
      const address = (pod: number): string =>
        pods[pod]?.addresses.find((entry) => entry.family === family)?.address ?? ''
      assert.deepEqual(await ask(from, address(to)), {
        peer: address(to),
        peerPort: 8080,
        pod: `pod-${to + 1}`,
        node: `node-${to + 1}`,
        seenAs: address(from),
      })
    })
  }
}
