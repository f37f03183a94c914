// SPDX-License-Identifier: Apache-2.0
/** What the four routing maps hold, and the steps that change them. The planner reads it, the writer keeps it true. */
import type {BackendValue, ServiceValue} from '../model/maps.ts'

export type Step =
  | {readonly kind: 'putBackend'; readonly id: number; readonly value: BackendValue}
  | {
      readonly kind: 'putEndpoint'
      readonly serviceId: number
      readonly index: number
      readonly backendId: number
    }
  | {readonly kind: 'putService'; readonly id: number; readonly value: ServiceValue}
  | {readonly kind: 'putFrontend'; readonly address: string; readonly upstreamId: number}
  | {readonly kind: 'deleteFrontend'; readonly address: string}
  | {readonly kind: 'deleteService'; readonly id: number}
  | {readonly kind: 'deleteEndpoint'; readonly serviceId: number; readonly index: number}
  | {readonly kind: 'deleteBackend'; readonly id: number}

export class Actual {
  /** Address -> id. */
  readonly frontends = new Map<string, number>()
  /** Service id -> endpoint count (priority 0) and everything else as one text. */
  readonly services = new Map<number, {readonly count: number; readonly text: string}>()
  /** Service id -> backend id at index 1, 2, ...; 0 where there is no entry. */
  readonly endpoints = new Map<number, number[]>()
  /** Backend id -> its value as one text. */
  readonly backends = new Map<number, string>()

  /** Takes the step as done. */
  apply(step: Step): void {
    switch (step.kind) {
      case 'putBackend':
        this.backends.set(step.id, backendText(step.value))
        break
      case 'putEndpoint':
        this.#setSlot(step.serviceId, step.index, step.backendId)
        break
      case 'putService':
        this.services.set(step.id, {count: step.value.endpointCount[0] ?? 0, text: serviceText(step.value)})
        break
      case 'putFrontend':
        this.frontends.set(step.address, step.upstreamId)
        break
      case 'deleteFrontend':
        this.frontends.delete(step.address)
        break
      case 'deleteService':
        this.services.delete(step.id)
        break
      case 'deleteEndpoint':
        this.#setSlot(step.serviceId, step.index, 0)
        break
      case 'deleteBackend':
        this.backends.delete(step.id)
        break
    }
  }

  #setSlot(serviceId: number, index: number, backendId: number): void {
    const slots = this.endpoints.get(serviceId) ?? []
    while (slots.length < index) slots.push(0)
    slots[index - 1] = backendId
    while (slots.length > 0 && slots.at(-1) === 0) slots.pop()
    if (slots.length === 0) this.endpoints.delete(serviceId)
    else this.endpoints.set(serviceId, slots)
  }

  /** The slots that connections can hit: as many as the service counts. */
  liveSlots(serviceId: number): readonly number[] {
    return (this.endpoints.get(serviceId) ?? []).slice(0, this.services.get(serviceId)?.count ?? 0)
  }
}

export function backendText(value: BackendValue): string {
  return `${value.address}|${value.services.join()}|${value.waypointAddress}|${value.waypointPort}`
}

/** Does the text of a backend say all of the value, and perhaps more services? */
export function isPartOf(value: BackendValue, text: string): boolean {
  const [address, services = '', ...waypoint] = text.split('|')
  const stored = new Set(services.split(','))
  const isSame =
    address === value.address && waypoint.join('|') === `${value.waypointAddress}|${value.waypointPort}`
  return isSame && value.services.every((id) => stored.has(String(id)))
}

/** Everything of the value, so that equal texts mean equal bytes. */
export function serviceText(value: ServiceValue): string {
  const ports = value.ports.map((pair) => `${pair.servicePort}:${pair.targetPort}`)
  return `${value.endpointCount.join()}|${value.lbPolicy}|${ports.join()}|${value.waypointAddress}|${value.waypointPort}`
}
