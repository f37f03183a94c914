// SPDX-License-Identifier: Apache-2.0
// Goal: what needs no sandbox works on any cluster: kubectl beside kmeshctl, enroll, log levels, dumps, interop.
// Method: the cluster of KMESHCTL_E2E_KUBECONFIG, else a sandbox; a namespace of the test's own, nothing else is written.
import assert from 'node:assert/strict'
import {spawnSync} from 'node:child_process'
import {after, before, suite, test} from 'node:test'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import {type Cluster, clusterUp, type Json, run} from './harness.ts'

const NAMESPACE = `kmeshctl-e2e-${process.pid}`
const LABEL = 'istio.io/dataplane-mode'
const noKubectl =
  spawnSync('kubectl', ['version', '--client']).error === undefined ? false : 'kubectl is not on PATH'

suite('any cluster', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await clusterUp('e2e-cluster')
    await cluster.kube.create(RESOURCES.namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {name: NAMESPACE},
    })
  })
  after(async () => {
    await cluster?.kube.delete({...RESOURCES.namespaces, name: NAMESPACE})
    await cluster?.down()
  })

  async function mode(): Promise<string | undefined> {
    const namespace = await cluster.kube.get({...RESOURCES.namespaces, name: NAMESPACE})
    return namespace.metadata.labels?.[LABEL]
  }

  test('enroll and unenroll write the label of a namespace', async () => {
    await cluster.json('enroll', 'namespace', NAMESPACE, '--yes')
    assert.match((await mode()) ?? '', /^kmesh$/i)
    const again = await cluster.kmeshctl('enroll', 'namespace', NAMESPACE, '--yes')
    assert.equal(again.code, 0, again.stderr)
    await cluster.json('unenroll', 'namespace', NAMESPACE, '--yes')
    assert.doesNotMatch((await mode()) ?? '', /^kmesh$/i)
  })

  test('a namespace that is not there is told', async () => {
    const result = await cluster.kmeshctl('enroll', 'namespace', `${NAMESPACE}-none`, '--yes')
    assert.notEqual(result.code, 0)
    assert.match(result.stderr, new RegExp(`${NAMESPACE}-none`))
  })

  test('interop status of an empty namespace', async () => {
    const document = await cluster.json('interop', 'status', '-n', NAMESPACE)
    assert.ok(Array.isArray(document.items))
  })

  test('version, levels and dumps of each daemon', async (context) => {
    const {items} = await cluster.json('version')
    const daemons = (items as Json[]).filter(({component}) => component === 'daemon')
    if (daemons.length === 0) return context.skip('the cluster has no daemon in kmesh-system')
    const levels = await cluster.json('log', 'get', '--all-nodes')
    assert.ok((levels.items as Json[]).length >= daemons.length)
    const [{node}] = daemons as [Json]
    const maps = await cluster.json('dump', 'maps', '--node', node)
    assert.ok(Array.isArray(maps.items))
  })

  test('kubectl sees the same cluster', {skip: noKubectl}, async () => {
    const kubectl = async (...args: string[]): Promise<string> => {
      const result = await run('kubectl', args, {env: cluster.env})
      assert.equal(result.code, 0, `kubectl ${args.join(' ')}\n${result.stderr}`)
      return result.stdout
    }
    assert.match(await kubectl('get', 'namespace', NAMESPACE), new RegExp(`^${NAMESPACE}\\s+Active`, 'm'))
    await kubectl('create', 'configmap', 'one', '-n', NAMESPACE, '--from-literal=a=b')
    await kubectl('label', 'configmap', 'one', '-n', NAMESPACE, 'team=one')
    assert.match(
      await kubectl('get', 'configmap', '-n', NAMESPACE, '-l', 'team=one', '-o', 'name'),
      /\/one$/m,
    )
    await kubectl('delete', 'configmap', 'one', '-n', NAMESPACE)
  })
})
