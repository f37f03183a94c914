// SPDX-License-Identifier: Apache-2.0
// Goal: the control plane's place in the network and the flags that depend on the sandbox.
// Method: pure functions, expected values by hand.
import assert from 'node:assert/strict'
import {suite, test} from 'node:test'
import {addressPlan} from '../../src/lib/sandbox/nodes/addresses.ts'
import type {CredentialFiles} from '../../src/lib/sandbox/real-control-plane/credentials.ts'
import {
  controlPlaneAddresses,
  controlPlaneLines,
  firstServiceAddresses,
} from '../../src/lib/sandbox/real-control-plane/fabric.ts'
import {
  apiServerArgs,
  controllerManagerArgs,
  etcdArgs,
  schedulerArgs,
} from '../../src/lib/sandbox/real-control-plane/flags.ts'

const PORTS = {api: 6443, etcdClient: 2379, etcdPeer: 2380}
const FILES: CredentialFiles = {
  authority: '/c/ca.crt',
  serving: {certificate: '/c/serving.crt', key: '/c/serving.key'},
  kubeletClient: {certificate: '/c/kubelet.crt', key: '/c/kubelet.key'},
  accounts: {publicKey: '/c/accounts.pub', privateKey: '/c/accounts.key'},
  kubeconfig: '/c/kubeconfig',
}

suite('flags', () => {
  const args = (advertiseAddress: string, serviceCidrs: string[]): string[] =>
    apiServerArgs({ports: PORTS, files: FILES, advertiseAddress, serviceCidrs})

  test('both service ranges, primary first; every IPv4 address', () => {
    const flags = args('172.16.1.254', ['10.200.0.0/16', 'fd00:1:2:ffff::/112'])
    assert.ok(flags.includes('--service-cluster-ip-range=10.200.0.0/16,fd00:1:2:ffff::/112'))
    assert.ok(flags.includes('--bind-address=0.0.0.0'))
    assert.ok(flags.includes('--advertise-address=172.16.1.254'))
    assert.ok(flags.includes('--etcd-servers=http://127.0.0.1:2379'))
  })

  test('a sandbox of IPv6 alone listens on IPv6, which takes IPv4 too', () => {
    assert.ok(args('fd00:1:2::fe', ['fd00:1:2:ffff::/112']).includes('--bind-address=::'))
  })

  test('nobody without a certificate or token, rights by roles', () => {
    const flags = args('172.16.1.254', ['10.200.0.0/16'])
    assert.ok(flags.includes('--anonymous-auth=false'))
    assert.ok(flags.includes('--authorization-mode=RBAC'))
  })

  test('no key stands in a command line', () => {
    const all = [
      ...args('172.16.1.254', ['10.200.0.0/16']),
      ...etcdArgs('/s/etcd', PORTS),
      ...controllerManagerArgs(FILES),
      ...schedulerArgs(FILES),
    ]
    for (const flag of all) assert.doesNotMatch(flag, /BEGIN|PRIVATE/)
  })

  test('nodes that send no heartbeats are not judged by them', () => {
    assert.ok(controllerManagerArgs(FILES).includes('--controllers=*,-nodelifecycle'))
  })
})

suite('network', () => {
  const plan = addressPlan('demo', 'dual')
  const [first, second] = controlPlaneAddresses(plan)

  test('the last address of the subnet of the nodes, which no node has', () => {
    assert.match(first ?? '', /^172\.\d+\.\d+\.254$/)
    assert.match(second ?? '', /^fd[0-9a-f:]+::fe$/)
    const node = plan.nodeAddresses(1)[0]?.address ?? ''
    assert.equal(node.replace(/\.1$/, ''), first?.replace(/\.254$/, ''))
  })

  test('addresses, and for each node a way back to its pods', () => {
    const lines = controlPlaneLines(plan, 'br0', 2)
    const via = (node: number, index: number): string => plan.nodeAddresses(node)[index]?.address ?? ''
    assert.deepEqual(lines, [
      `addr add ${first}/24 dev br0`,
      `route add ${plan.podCidrs(1)[0]} via ${via(1, 0)} dev br0 src ${first}`,
      `route add ${plan.podCidrs(2)[0]} via ${via(2, 0)} dev br0 src ${first}`,
      `addr add ${second}/64 dev br0 nodad`,
      `route add ${plan.podCidrs(1)[1]} via ${via(1, 1)} dev br0 src ${second}`,
      `route add ${plan.podCidrs(2)[1]} via ${via(2, 1)} dev br0 src ${second}`,
    ])
  })

  test('service kubernetes has the first address of each range', () => {
    assert.deepEqual(firstServiceAddresses(['10.200.0.0/16', 'fd00:1:2:ffff::/112']), [
      '10.200.0.1',
      'fd00:1:2:ffff::1',
    ])
  })
})
