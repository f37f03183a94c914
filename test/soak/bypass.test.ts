// SPDX-License-Identifier: Apache-2.0
// Goal: whatever happens to pods with sidecars, and in whatever order, once it is over each has exactly the rules that
// its labels ask for, in the backend that holds its sidecar's, and nobody else's rules are touched.
// Method: labels of namespace and pods, killed agents, a held lock, damaged rules and pods that come anew, at random
// (seeded by KMESH_SOAK_SEED); after each round all is compared with what the labels say. KMESH_SOAK_SECONDS says how long.
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import {type Backend, runIn} from '../e2e/bypass-rules.ts'
import {BYPASS, BypassWorld, DATAPLANE, INJECTION, NODE} from '../e2e/bypass-world.ts'
import {agentReady} from '../e2e/cni-fixture.ts'
import {eventually, run, SANDBOX_ONLY, type Sandbox, sandboxUp} from '../e2e/harness.ts'
import {seeded} from '../seeded.ts'

const SECONDS = Number(process.env['KMESH_SOAK_SECONDS'] ?? 10)
const SEED = Number(process.env['KMESH_SOAK_SEED'] ?? 42)
const STEPS = 40
const CHECK_MS = 30_000
const RULE = '-m comment --comment kmesh.net/bypass -j RETURN'

const BACKENDS: Readonly<Record<string, Backend>> = {
  alpha: 'nft',
  beta: 'nft',
  gamma: 'legacy',
  delta: 'legacy',
}
const PODS = Object.keys(BACKENDS)
const VALUES: Readonly<Record<string, readonly (string | null)[]>> = {
  [DATAPLANE]: ['kmesh', 'none', null],
  [BYPASS]: ['enabled', 'disabled', null],
}

suite('short-circuit of sidecars under random changes', {skip: SANDBOX_ONLY}, () => {
  const pick = seeded(SEED)
  /** Label -> value, of the namespace under '' and of pods. */
  const labels = new Map<string, Record<string, string | null>>()
  let sandbox: Sandbox
  let world: BypassWorld
  before(async () => {
    sandbox = await sandboxUp('soak-bypass', '--empty', '--istio', '--nodes', '1', '--ip-family', 'dual')
    world = new BypassWorld(sandbox)
    await world.namespace('flap', INJECTION)
    await Promise.all(PODS.map(create))
    await Promise.all(PODS.map((name) => world.watch('flap', name)))
    await world.settled()
  })
  after(async () => {
    await sandbox?.down()
  })

  function create(name: string): Promise<void> {
    return world.client({namespace: 'flap', name}, true, {}, ['--iptables', BACKENDS[name] ?? ''])
  }

  /** The mesh's rule, and that of the label which only short-circuits. */
  function expect(): void {
    for (const name of PODS) {
      const [own, all] = [labels.get(name) ?? {}, labels.get('') ?? {}]
      const captured = own[DATAPLANE] === 'kmesh' || (own[DATAPLANE] !== 'none' && all[DATAPLANE] === 'kmesh')
      const isAsked = (own[BYPASS] ?? all[BYPASS]) === 'enabled'
      const backend = BACKENDS[name]
      world.want('flap', name, {
        captured,
        rules: backend !== undefined && (captured || isAsked) ? [backend] : [],
      })
    }
  }

  async function relabel(): Promise<void> {
    const who = ['', ...PODS][pick(PODS.length + 1)] ?? ''
    const label = [DATAPLANE, BYPASS][pick(2)] ?? ''
    const value = VALUES[label]?.[pick(3)] ?? null
    labels.set(who, {...labels.get(who), [label]: value})
    if (who === '') await world.labelNamespace('flap', label, value)
    else await world.labelPod({namespace: 'flap', name: who}, label, value)
  }

  async function renew(name: string): Promise<void> {
    await sandbox.kube.delete({...RESOURCES.pods, namespace: 'flap', name})
    world.unwatch({namespace: 'flap', name})
    labels.delete(name)
    await eventually('it is gone', async () =>
      (await world.pods('flap', name)).length === 0 ? true : undefined,
    )
    await create(name)
    await world.watch('flap', name, {captured: false, rules: []})
  }

  async function damage(name: string): Promise<void> {
    const {path} = world.placeOf('flap', name)
    // In the other backend it would leave a table behind.
    const program = `${['iptables', 'ip6tables'][pick(2)]}-${BACKENDS[name]}`
    const chain = ['PREROUTING', 'OUTPUT'][pick(2)]
    const how = [`-D ${chain}`, `-I ${chain} 1`, `-A ${chain}`][pick(3)]
    // Only what stands is damaged: a rule put where none is wanted would be somebody else's, which no agent looks for.
    const iptables = `${program} -w 30 -t nat`
    await runIn(path, `${iptables} -C ${chain} ${RULE} 2>/dev/null && ${iptables} ${how} ${RULE} || :`)
  }

  /** @returns true where only the next check of the agent puts it right */
  async function step(): Promise<boolean> {
    const name = PODS[pick(PODS.length)] ?? ''
    const kind = pick(120)
    if (kind < 3) await renew(name)
    else if (kind < 6) process.kill(await agentReady(sandbox, NODE), 'SIGKILL')
    else if (kind < 9) void run('flock', ['/run/xtables.lock', 'sleep', '1'])
    else if (kind < 10) {
      await damage(name)
      return true
    } else await relabel()
    return false
  }

  test(`${SECONDS} s, seed ${SEED}`, {timeout: (SECONDS + 300) * 1000}, async () => {
    for (const endMs = Date.now() + SECONDS * 1000; Date.now() < endMs; ) {
      let isDamaged = false
      for (let left = STEPS; left > 0; left -= 1) {
        isDamaged = (await step()) || isDamaged
        await sleep(pick(60))
      }
      expect()
      await world.settled(CHECK_MS * (isDamaged ? 2 : 1))
    }
  })
})
