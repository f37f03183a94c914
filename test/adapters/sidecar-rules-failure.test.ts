// SPDX-License-Identifier: Apache-2.0
// Goal: the short-circuit of a sidecar is never left half done, whatever happens in between.
// Method: real namespaces; a lock held by another process, a death between two backends, programs that fail or are late.
import assert from 'node:assert/strict'
import {type ChildProcess, spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, test} from 'node:test'
import {systemCommands, toolPath} from '../../src/lib/adapters/commands.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {createSidecarRules} from '../../src/lib/adapters/sidecar-rules.ts'
import {CommandError, KmeshError} from '../../src/lib/errors.ts'
import type {Commands, SidecarRules} from '../../src/lib/ports.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'
import {everywhere, ISTIO_REDIRECT, RedirectedPod} from './redirected-pod.ts'

const PLAIN = '-m comment --comment kmesh.net/bypass -j RETURN'

describe('rules against a sidecar, interrupted', {skip: skipReason()}, () => {
  let pod: RedirectedPod
  let rules: SidecarRules
  let folder: string

  beforeEach(() => {
    pod = new RedirectedPod(createNetns())
    folder = mkdtempSync(join(tmpdir(), `kmt${process.pid}-tools-`))
    rules = rulesWith(systemCommands())
  })
  afterEach(async () => {
    await pod[Symbol.asyncDispose]()
    rmSync(folder, {recursive: true})
  })

  function rulesWith(commands: Commands): SidecarRules {
    return createSidecarRules(commands, createNetns(), {lockFile: pod.lockFile, lockWaitSeconds: 1})
  }

  /** Commands that run a script in place of some programs. */
  function replacing(programs: readonly string[], script: string): Commands {
    const file = join(folder, 'replacement')
    writeFileSync(file, `#!/bin/sh\n${script}\n`)
    chmodSync(file, 0o755)
    const originals = new Set(programs.map(toolPath))
    const {run, start} = systemCommands()
    return {
      start,
      run: (request) => run({...request, args: request.args.map((arg) => (originals.has(arg) ? file : arg))}),
    }
  }

  test('a lock that another process keeps: said by its name, and nothing is changed', async () => {
    const holder = await lockHolder(pod.lockFile)
    try {
      await assert.rejects(rules.put(pod.path), (thrown) => {
        assert.ok(thrown instanceof KmeshError)
        assert.equal(thrown.code, 'IptablesLocked')
        assert.match(thrown.message, /iptables-legacy-restore in .*pod: another program holds the lock/)
        return true
      })
      assert.deepEqual(pod.standing(), [])
      // What needs no legacy backend does not wait for it.
      pod.restore('nft', 'IPv4', ISTIO_REDIRECT)
      await rules.put(pod.path)
      assert.deepEqual(pod.standing(), everywhere('nft'))
    } finally {
      holder.kill('SIGKILL')
    }
  })

  test('a lock that is given back in time is waited for', async () => {
    const patient = createSidecarRules(systemCommands(), createNetns(), {
      lockFile: pod.lockFile,
      lockWaitSeconds: 8,
    })
    const holder = await lockHolder(pod.lockFile)
    setTimeout(() => holder.kill('SIGKILL'), 300)
    await patient.put(pod.path)
    assert.deepEqual(pod.standing(), everywhere('nft', 'legacy'))
  })

  test('killed between the two backends: the next one repairs it', async () => {
    const script = `
      import {spawn} from 'node:child_process'
      import {systemCommands, toolPath} from ${JSON.stringify(import.meta.resolve('../../src/lib/adapters/commands.ts'))}
      import {createNetns} from ${JSON.stringify(import.meta.resolve('../../src/lib/adapters/netns.ts'))}
      import {createSidecarRules} from ${JSON.stringify(import.meta.resolve('../../src/lib/adapters/sidecar-rules.ts'))}
      const {run, start} = systemCommands()
      const swap = (arg) => (arg === toolPath('iptables-nft-restore') ? process.argv[1] : arg)
      const commands = {start, run: (request) => run({...request, args: request.args.map(swap)})}
      await createSidecarRules(commands, createNetns(), {lockFile: process.argv[3]}).put(process.argv[2])
    `
    const killer = join(folder, 'killer')
    writeFileSync(killer, '#!/bin/sh\nkill -9 "$(awk \'{print $4}\' /proc/$PPID/stat)" $PPID\n')
    chmodSync(killer, 0o755)
    const args = ['--input-type=module', '-e', script, killer, pod.path, pod.lockFile]
    const child = spawnSync(process.execPath, args, {encoding: 'utf8'})
    assert.equal(child.signal, 'SIGKILL', child.stderr)
    assert.deepEqual(pod.standing(), everywhere('legacy'))
    assert.deepEqual(await rules.look(pod.path), {redirection: 'none', complete: false, present: true})
    await rules.put(pod.path)
    assert.deepEqual(pod.standing(), everywhere('nft', 'legacy'))
  })

  test('one of the four fails: the others are as they were', async () => {
    pod.restore('legacy', 'IPv4', `*nat\n-A OUTPUT -p udp -j RETURN\n-A OUTPUT ${PLAIN}\nCOMMIT`)
    const failing = rulesWith(replacing(['ip6tables-nft-restore'], 'echo out of luck >&2; exit 1'))
    await assert.rejects(failing.put(pod.path), (thrown) => {
      assert.ok(thrown instanceof CommandError)
      assert.match(thrown.message, /^ip6tables-nft-restore in .*: exit status 1: out of luck$/)
      return true
    })
    assert.deepEqual(pod.standing(), ['legacy IPv4 OUTPUT 2'])
  })

  test('the path leads elsewhere in the middle: the rules go where it led at first', async () => {
    using fixture = new KernelFixture()
    const other = fixture.addNamespace('other')
    const cookie = createNetns().cookie(pod.path).toString()
    const path = join(folder, 'path')
    symlinkSync(pod.path, path)
    const {run, start} = systemCommands()
    const moving = rulesWith({
      start,
      run: (request) => {
        rmSync(path)
        symlinkSync(other, path)
        return run(request)
      },
    })
    await moving.put(path, cookie)
    assert.deepEqual(pod.standing(), everywhere('nft', 'legacy'))
    assert.equal((await rules.look(other)).present, false)
    for (const ask of [rules.put(path, cookie), rules.remove(path, cookie), rules.look(path, cookie)])
      await assert.rejects(ask, {code: 'NamespaceChanged'})
    assert.equal((await rules.look(other)).present, false)
  })

  test('somebody changes the rules between look and change: looked at again', async () => {
    await rules.put(pod.path)
    const once = join(folder, 'once')
    const real = toolPath('iptables-nft-restore')
    const racing = rulesWith(
      replacing(
        ['iptables-nft-restore'],
        `[ -e ${once} ] || { touch ${once}; iptables-nft -t nat -D OUTPUT 1; }\nexec ${real} "$@"`,
      ),
    )
    await racing.remove(pod.path)
    assert.deepEqual(pod.standing(), [])
  })

  test('a kernel without the legacy backend: nft alone is complete, and it is not asked again', async () => {
    const asked = join(folder, 'asked')
    // What iptables says where the kernel has no such table.
    const script = `echo x >> ${asked}; echo "iptables-restore v1.8.9 (legacy): unable to initialize table 'nat'" >&2; exit 2`
    const lacking = rulesWith(replacing(['iptables-legacy-restore', 'ip6tables-legacy-restore'], script))
    assert.deepEqual(await lacking.put(pod.path), {redirection: 'none', complete: true, present: true})
    assert.deepEqual(pod.standing(), everywhere('nft'))
    assert.equal((await lacking.look(pod.path)).complete, true)
    await lacking.put(pod.path)
    assert.equal(readFileSync(asked, 'utf8'), 'x\nx\n')
    assert.equal((await rules.look(pod.path)).complete, false)
    // Somebody loaded it: it counts from then on.
    pod.restore('legacy', 'IPv4', ISTIO_REDIRECT)
    assert.equal((await lacking.look(pod.path)).complete, false)
  })

  test('a right that we lack is not taken for a backend that the kernel lacks', async () => {
    const script = `
      import {systemCommands} from ${JSON.stringify(import.meta.resolve('../../src/lib/adapters/commands.ts'))}
      import {createNetns} from ${JSON.stringify(import.meta.resolve('../../src/lib/adapters/netns.ts'))}
      import {createSidecarRules} from ${JSON.stringify(import.meta.resolve('../../src/lib/adapters/sidecar-rules.ts'))}
      const [path, lockFile] = process.argv.slice(1)
      await createSidecarRules(systemCommands(), createNetns(), {lockFile}).put(path).catch((error) =>
        console.log(error.code, error.message, error.hints.join()))
    `
    for (const [rights, expected] of [
      ['+sys_admin,+net_admin', /socket SOCK_RAW .*EPERM.*CAP_NET_RAW/],
      ['+sys_admin,+net_raw', /list nftables chains .*EPERM.*CAP_NET_ADMIN/],
    ] as const) {
      const limit = [`--bounding-set=-all,${rights}`, `--inh-caps=-all,${rights}`]
      const node = [process.execPath, '--input-type=module', '-e', script, pod.path, pod.lockFile]
      const child = spawnSync('setpriv', [...limit, ...node], {encoding: 'utf8'})
      assert.match(child.stdout, expected, child.stderr)
    }
    assert.deepEqual(pod.standing(), [])
  })

  test('a kernel without any NAT of iptables is no success', async () => {
    const script = `echo "iptables-restore v1.8.9 (legacy): unable to initialize table 'nat'" >&2; exit 2`
    const lacking = rulesWith(
      replacing(
        [
          'iptables-legacy-restore',
          'ip6tables-legacy-restore',
          'iptables-nft-restore',
          'ip6tables-nft-restore',
        ],
        script,
      ),
    )
    await assert.rejects(lacking.put(pod.path), {code: 'NoIptables'})
    assert.deepEqual(pod.standing(), [])
    await assert.rejects(lacking.put(pod.path), {code: 'NoIptables'})
  })
})

async function lockHolder(file: string): Promise<ChildProcess> {
  const holder = spawn('flock', ['--no-fork', file, 'sh', '-c', 'echo held; exec sleep 30'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  return holder
}
