// SPDX-License-Identifier: Apache-2.0
/** The control plane's place in the network: an address of its own on the bridge between the nodes. Pure. */
import {type AddressPlan, NODE_PREFIX} from '../nodes/addresses.ts'

/** Above every node number. */
const CONTROL_PLANE_NUMBER = 254

/** Primary family first. */
export function controlPlaneAddresses(plan: AddressPlan): string[] {
  return plan.nodeAddresses(CONTROL_PLANE_NUMBER).map(({address}) => address)
}

/** Lines for `ip -batch` in the fabric: addresses, and ways back to the pods of each node. */
export function controlPlaneLines(plan: AddressPlan, bridge: string, nodes: number): string[] {
  return plan.nodeAddresses(CONTROL_PLANE_NUMBER).flatMap(({family, address}, index) => {
    const noCheck = family === 'IPv6' ? ' nodad' : ''
    const routes = Array.from({length: nodes}, (_, before) => {
      const via = plan.nodeAddresses(before + 1)[index]?.address
      return `route add ${plan.podCidrs(before + 1)[index]} via ${via} dev ${bridge} src ${address}`
    })
    return [`addr add ${address}/${NODE_PREFIX[family]} dev ${bridge}${noCheck}`, ...routes]
  })
}

/** First address of each service range: what service `kubernetes` gets. */
export function firstServiceAddresses(serviceCidrs: readonly string[]): string[] {
  return serviceCidrs.map((cidr) => {
    const base = cidr.slice(0, cidr.indexOf('/'))
    return base.includes(':') ? `${base}1` : base.replace(/\.0$/, '.1')
  })
}
