// SPDX-License-Identifier: Apache-2.0
/** Enrollment alone, on fakes of its ports. */
import {Annotator} from '../../src/lib/agent/annotate.ts'
import {Enroller} from '../../src/lib/agent/enroll.ts'
import type {PodIdentity} from '../../src/lib/agent/enroll-parts.ts'
import {PodEvents} from '../../src/lib/agent/pod-events.ts'
import type {ExistingPods, SidecarPolicy} from '../../src/lib/model/api.ts'
import {BYPASS_ANNOTATION} from '../../src/lib/model/bypass.ts'
import {MANAGE} from '../../src/lib/model/maps.ts'
import {FakeBpf} from '../fakes/bpf.ts'
import {fakeClock} from '../fakes/clock.ts'
import {Crash} from './crash.ts'
import {FakeRules} from './fake-rules.ts'
import {FakeKube, FakeNode, MemoryFiles, memoryLog} from './fakes.ts'

export const LABEL = 'istio.io/dataplane-mode'
export const KMESH = {labels: {[LABEL]: 'kmesh'}}
const PIN = '/pins/km_manage'

export function createWorld() {
  const bpf = new FakeBpf()
  bpf.load({objectFile: 'x', mapPins: {[MANAGE.name]: PIN}, mapSizes: {}, attachments: []})
  const manage = bpf.openPinned(PIN)
  const world = {
    bpf,
    manage,
    node: new FakeNode(),
    identity: 'netns' as PodIdentity,
    rules: new FakeRules(),
    sidecarPolicy: 'bypass' as SidecarPolicy,
    files: new MemoryFiles(),
    kube: new FakeKube(),
    clock: fakeClock(),
    log: memoryLog(),
    namespaces: new Map<string, Record<string, string>>(),
    cookies: () => {
      const found: string[] = []
      for (const {count, keys} of manage.read()) {
        const view = new DataView(keys.buffer, keys.byteOffset)
        for (let entry = 0; entry < count; entry += 1) found.push(String(view.getBigUint64(entry * 16, true)))
      }
      return found.sort()
    },
    setSidecarPolicy: (policy: SidecarPolicy) => {
      world.sidecarPolicy = policy
    },
    setIdentity: (identity: PodIdentity) => {
      world.identity = identity
    },
    start: (existingPods: ExistingPods = 'live', adopted = true, crash = new Crash()) => {
      const {node, files, clock, log, kube, namespaces, rules, sidecarPolicy} = world
      return new Enroller({
        identity: world.identity,
        classes: crash.classes(node.classes),
        proc: node,
        netns: node,
        manage: crash.map(manage),
        files: crash.files(files),
        clock,
        log,
        annotator: new Annotator(crash.kube(kube.asKube()), clock, log),
        bypassAnnotator: new Annotator(crash.kube(kube.asKube()), clock, log, BYPASS_ANNOTATION),
        events: new PodEvents(crash.kube(kube.asKube()), clock, log, 'n1'),
        rules: crash.rules(rules),
        sidecarPolicy,
        existingPods,
        adopted,
        kube: kube.asKube(),
        nodeName: 'n1',
        namespace: (name) =>
          namespaces.has(name) ? {metadata: {name, labels: namespaces.get(name) ?? {}}} : undefined,
      })
    },
  }
  return world
}
