// SPDX-License-Identifier: Apache-2.0
/**
 * Lines for `ip -batch`, pure. One fabric namespace holds a bridge that joins the
 * nodes; pods hang on routed veths of their node. Neighbours of a pod link are
 * written down on both sides, so nothing waits for ARP or neighbour discovery.
 */
import {type Addresses, type AddressPlan, type Family, HOST_PREFIX, NODE_PREFIX} from './addresses.ts'

export const BRIDGE = 'br0'
/** The node's end of every pod link. */
const NODE_SIDE_MAC = 'ee:ee:ee:ee:ee:ee'
const POD_SIDE_MAC = '0a:58:00:00:00:01'
/** What a pod routes to; no interface has these, the static neighbour leads to the node. */
const GATEWAY: Readonly<Record<Family, string>> = {IPv4: '169.254.1.1', IPv6: 'fe80::1'}

export function fabricLines(): string[] {
  return [
    'link set lo up',
    `link add ${BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    `link set ${BRIDGE} addrgenmode none up`,
  ]
}

/** Run in the fabric: one cable to a node, whose end is `eth0` there. */
export function cableLines(node: number, nodeNamespace: string): string[] {
  return [
    `link add n${node} type veth peer name eth0 netns ${nodeNamespace}`,
    `link set n${node} master ${BRIDGE} addrgenmode none up`,
  ]
}

/** Run in the node. Service addresses get a route, since a lookup comes before the rules that translate them. */
export function nodeLines(plan: AddressPlan, node: number, nodes: number): string[] {
  const lines = ['link set lo up', 'link set eth0 up']
  plan.nodeAddresses(node).forEach(({family, address}, index) => {
    lines.push(`addr add ${address}/${NODE_PREFIX[family]} dev eth0${family === 'IPv6' ? ' nodad' : ''}`)
    lines.push(`route add unreachable ${plan.podCidrs(node)[index]}`)
    lines.push(`route add ${plan.serviceCidrs[index]} dev eth0 src ${address}`)
    for (let other = 1; other <= nodes; other += 1) {
      if (other === node) continue
      const via = plan.nodeAddresses(other)[index]?.address
      lines.push(`route add ${plan.podCidrs(other)[index]} via ${via} dev eth0 src ${address}`)
    }
  })
  return lines
}

/** Run in the node, first: makes the pod's link. */
export function podLinkLines(link: string, podNamespace: string): string[] {
  return [
    `link add ${link} address ${NODE_SIDE_MAC} type veth peer name eth0 address ${POD_SIDE_MAC} netns ${podNamespace}`,
    `link set ${link} addrgenmode none up`,
  ]
}

/** Run in the node, when the pod's end is up. */
export function podRouteLines(link: string, pod: Addresses, node: Addresses): string[] {
  return pod.flatMap(({family, address}, index) => [
    `neigh replace ${address} lladdr ${POD_SIDE_MAC} dev ${link} nud permanent`,
    `route add ${address}/${HOST_PREFIX[family]} dev ${link} src ${node[index]?.address}`,
  ])
}

/** Run in the pod. */
export function podLines(pod: Addresses): string[] {
  const lines = ['link set lo up', 'link set eth0 addrgenmode none up']
  for (const {family, address} of pod) {
    const gateway = GATEWAY[family]
    lines.push(
      `addr add ${address}/${HOST_PREFIX[family]} dev eth0${family === 'IPv6' ? ' nodad' : ''}`,
      `neigh replace ${gateway} lladdr ${NODE_SIDE_MAC} dev eth0 nud permanent`,
    )
    if (family === 'IPv4') lines.push(`route add ${gateway} dev eth0 scope link`)
    lines.push(`route add default via ${gateway} dev eth0 src ${address}`)
  }
  return lines
}
