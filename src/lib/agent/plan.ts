// SPDX-License-Identifier: Apache-2.0
/**
 * From what the maps hold to what they should hold, in steps that leave no hole: a connection reads the service's
 * count, then a slot below it, then that backend, and may do so between any two steps.
 * So: backends before slots, slots before the count that reaches them, the count before frontends; a slot
 * that falls out is overwritten first, then the count is lowered, and deleted later, when no hook can still
 * hold the old count. Steps that only free space are given apart, to be done after that time.
 */
import type {PortPair} from '../model/map-fields.ts'
import {PRIORITIES} from '../model/map-fields.ts'
import type {ServiceValue} from '../model/maps.ts'
import {type Actual, type Step, serviceText} from './actual.ts'

export interface Plan {
  /** In this order, at once. */
  readonly now: readonly Step[]
  /** In this order, after the grace time, each only if nothing wants the entry by then. */
  readonly later: readonly Step[]
}

export interface PlannedService {
  readonly id: number
  readonly ports: readonly PortPair[]
  /** Backends that exist already, each once. */
  readonly backendIds: readonly number[]
}

export function serviceValue(ports: readonly PortPair[], count: number): ServiceValue {
  const endpointCount = Array.from({length: PRIORITIES}, (_, priority) => (priority === 0 ? count : 0))
  return {endpointCount, lbPolicy: 'random', ports, waypointAddress: null, waypointPort: 0}
}

/** Slots and value of one service; its frontends are the caller's. */
export function planService(actual: Actual, service: PlannedService): Plan {
  const {now, later, count} = planSlots(actual, service.id, service.backendIds)
  const value = serviceValue(service.ports, count)
  if (actual.services.get(service.id)?.text !== serviceText(value))
    now.push({kind: 'putService', id: service.id, value})
  return {now, later}
}

interface SlotPlan {
  readonly now: Step[]
  readonly later: Step[]
  readonly count: number
}

function planSlots(actual: Actual, serviceId: number, backendIds: readonly number[]): SlotPlan {
  const stored = actual.endpoints.get(serviceId) ?? []
  const live = actual.liveSlots(serviceId)
  const slots = arrange(live, backendIds)
  const now: Step[] = []
  const later: Step[] = []
  slots.forEach((backendId, position) => {
    if (stored[position] !== backendId)
      now.push({kind: 'putEndpoint', serviceId, index: position + 1, backendId})
  })
  for (let index = stored.length; index > slots.length; index -= 1) {
    if (stored[index - 1] !== 0) later.push({kind: 'deleteEndpoint', serviceId, index})
  }
  return {now, later, count: slots.length}
}

/** Keeps who is wanted in place, fills the gaps with new ones, then from the end. */
export function arrange(live: readonly number[], wanted: readonly number[]): number[] {
  const missing = new Set(wanted)
  const slots = live.map((id) => (missing.delete(id) ? id : 0))
  const fresh = [...missing]
  let next = 0
  for (let position = 0; position < slots.length; position += 1) {
    if (slots[position] !== 0) continue
    const added = fresh[next]
    if (added === undefined) break
    slots[position] = added
    next += 1
  }
  slots.push(...fresh.slice(next))
  return closeGaps(slots)
}

function closeGaps(slots: number[]): number[] {
  for (let position = 0; position < slots.length; position += 1) {
    while (slots.length > position && slots.at(-1) === 0) slots.pop()
    if (slots[position] === 0) slots[position] = slots.pop() ?? 0
  }
  return slots
}

/** Takes a service out; no frontend leads to it any more. */
export function planServiceRemoval(actual: Actual, serviceId: number): Plan {
  const later: Step[] = []
  if (actual.services.has(serviceId)) later.push({kind: 'deleteService', id: serviceId})
  const slots = actual.endpoints.get(serviceId) ?? []
  for (let index = slots.length; index > 0; index -= 1) {
    if (slots[index - 1] !== 0) later.push({kind: 'deleteEndpoint', serviceId, index})
  }
  return {now: [], later}
}

/** True while the entry that the step would free is still in use: then the step is void. */
export function isStillUsed(actual: Actual, step: Step, isWanted: (id: number) => boolean): boolean {
  switch (step.kind) {
    case 'deleteEndpoint':
      return step.index <= (actual.services.get(step.serviceId)?.count ?? 0)
    case 'deleteService':
    case 'deleteBackend':
      return isWanted(step.id)
    case 'putBackend':
    case 'putEndpoint':
    case 'putService':
    case 'putFrontend':
    case 'deleteFrontend':
      return false
  }
}
