// SPDX-License-Identifier: Apache-2.0
/** `/debug/config_dump/bpf/dual-engine`: what the kernel's maps hold, values without keys (contracts 2.3). */
import {setImmediate} from 'node:timers/promises'
import type {BpfDumpReply} from '../model/api.ts'
import type {Codec} from '../model/codec.ts'
import {BACKEND, type BackendValue, ENDPOINT, FRONTEND, SERVICE, type ServiceValue} from '../model/maps.ts'
import type {BpfMap} from '../ports.ts'
import {goJson} from './answer.ts'
import type {RoutingMaps} from './map-writer.ts'

const CHUNK_ENTRIES = 256
const LB_NAMES: Readonly<Record<string, string>> = {
  random: 'UNSPECIFIED_MODE',
  strict: 'STRICT',
  failover: 'FAILOVER',
}

type NameOf = (id: number) => string | undefined

/** @throws KernelError in the middle of the answer, which is then cut */
export async function* bpfDump(maps: RoutingMaps, nameOf: NameOf): AsyncGenerator<string> {
  yield '{\n    "workloadPolicies": [],\n'
  yield* values('backends', maps.backend, BACKEND.value, (value) => backendDump(value, nameOf))
  yield ',\n'
  yield* values('endpoints', maps.endpoint, ENDPOINT.value, ({backendUid}) =>
    named('backendUid', backendUid, nameOf),
  )
  yield ',\n'
  yield* values('frontends', maps.frontend, FRONTEND.value, ({upstreamId}) =>
    named('upstreamId', upstreamId, nameOf),
  )
  yield ',\n'
  yield* values('services', maps.service, SERVICE.value, serviceDump)
  yield '\n}'
}

async function* values<T>(
  name: string,
  map: BpfMap,
  codec: Codec<T>,
  dump: (value: T) => unknown,
): AsyncGenerator<string> {
  yield `    "${name}": [`
  let separator = ''
  for (const batch of map.read(CHUNK_ENTRIES)) {
    const view = new DataView(batch.values.buffer, batch.values.byteOffset, batch.values.byteLength)
    let piece = ''
    for (let entry = 0; entry < batch.count; entry += 1) {
      const value = dump(codec.read(view, entry * codec.bytes))
      piece += `${separator}\n        ${goJson(value, 4).replaceAll('\n', '\n        ')}`
      separator = ','
    }
    if (piece !== '') yield piece
    await setImmediate()
  }
  yield separator === '' ? ']' : '\n    ]'
}

function named<K extends string>(field: K, id: number, nameOf: NameOf): {[key in K]?: string} {
  const name = nameOf(id)
  return (name === undefined ? {} : {[field]: name}) as {[key in K]?: string}
}

function backendDump(value: BackendValue, nameOf: NameOf): BpfDumpReply['backends'][number] {
  return {
    ip: value.address ?? '0.0.0.0',
    serviceCount: value.services.length,
    services: value.services.map(nameOf).filter((name) => name !== undefined),
    ...waypoint(value),
  }
}

function serviceDump(value: ServiceValue): BpfDumpReply['services'][number] {
  const servicePorts = value.ports.map((pair) => pair.servicePort).filter((port) => port !== 0)
  const targetPorts = value.ports.map((pair) => pair.targetPort).filter((port) => port !== 0)
  return {
    endpointCount: value.endpointCount.join(', '),
    lbPolicy: LB_NAMES[value.lbPolicy] ?? '',
    ...(servicePorts.length > 0 ? {servicePort: servicePorts.join(', ')} : {}),
    ...(targetPorts.length > 0 ? {targetPort: targetPorts.join(', ')} : {}),
    ...waypoint(value),
  }
}

function waypoint(value: {readonly waypointAddress: string | null; readonly waypointPort: number}) {
  return {
    ...(value.waypointAddress === null ? {} : {waypointAddr: value.waypointAddress}),
    ...(value.waypointPort === 0 ? {} : {waypointPort: value.waypointPort}),
  }
}
