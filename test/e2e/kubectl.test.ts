// SPDX-License-Identifier: Apache-2.0
// Goal: kubectl works against a running sandbox, whose pods are real.
// Method: the machine's kubectl, every verb that the README promises; skipped where there is none.
import assert from 'node:assert/strict'
import {spawn, spawnSync} from 'node:child_process'
import {after, before, suite, test} from 'node:test'
import {eventually, type Json, type Result, run, SANDBOX_ONLY, type Sandbox, sandboxUp} from './harness.ts'

const missing =
  spawnSync('kubectl', ['version', '--client']).error === undefined ? false : 'kubectl is not on PATH'

suite('kubectl', {skip: SANDBOX_ONLY || missing}, () => {
  let sandbox: Sandbox
  before(async () => {
    sandbox = await sandboxUp('e2e-kubectl')
  })
  after(async () => {
    await sandbox?.down()
  })

  const kubectl = (...args: string[]): Promise<Result> => run('kubectl', args, {env: sandbox.env})
  async function ok(...args: string[]): Promise<string> {
    const result = await kubectl(...args)
    assert.equal(result.code, 0, `kubectl ${args.join(' ')}\n${result.stdout}${result.stderr}`)
    return result.stdout
  }
  const json = async (...args: string[]): Promise<Json> => JSON.parse(await ok(...args, '-o', 'json'))

  test('get, also wide, as yaml and of all namespaces', async () => {
    const table = await ok('get', 'pods', '-n', 'shop')
    assert.match(table, /^NAME\s+READY\s+STATUS\s+RESTARTS\s+AGE$/m)
    assert.match(table, /^server-\S+\s+1\/1\s+Running/m)
    assert.match(await ok('get', 'pods', '-A', '-o', 'wide'), /kmesh-system\s+kmesh-\S+\s+1\/1\s+Running/)
    assert.match(await ok('get', 'service', 'server', '-n', 'shop', '-o', 'yaml'), /clusterIP: \d/)
    assert.match(await ok('get', 'nodes'), /Ready/)
    const missingPod = await kubectl('get', 'pod', 'nope', '-n', 'shop')
    assert.equal(missingPod.code, 1)
    assert.match(missingPod.stderr, /pods "nope" not found/)
  })

  test('get -w tells of a change', async () => {
    const watch = spawn('kubectl', ['get', 'pods', '-n', 'shop', '-w', '-o', 'name'], {env: sandbox.env})
    let seen = ''
    watch.stdout.on('data', (chunk: Buffer) => {
      seen += chunk
    })
    await eventually('the first list', async () => (seen.includes('pod/server-') ? true : undefined))
    await ok('scale', 'deployment/server', '-n', 'shop', '--replicas=4')
    await eventually('a fourth server', async () =>
      new Set(seen.split('\n').filter((line) => line.startsWith('pod/server-'))).size >= 4 ? true : undefined,
    )
    watch.kill()
  })

  test('label, annotate, patch', async () => {
    await ok('label', 'namespace', 'shop', 'team=one')
    assert.equal((await json('get', 'namespace', 'shop')).metadata.labels.team, 'one')
    const refused = await kubectl('label', 'namespace', 'shop', 'team=two')
    assert.equal(refused.code, 1, 'needs --overwrite')
    await ok('label', 'namespace', 'shop', 'team-')
    assert.equal((await json('get', 'namespace', 'shop')).metadata.labels.team, undefined)
    await ok('annotate', 'service', 'server', '-n', 'shop', 'note=seen')
    assert.equal((await json('get', 'service', 'server', '-n', 'shop')).metadata.annotations.note, 'seen')
    await ok(
      'patch',
      'service',
      'server',
      '-n',
      'shop',
      '--type=merge',
      '-p',
      '{"metadata":{"annotations":{"note":"again"}}}',
    )
    assert.equal((await json('get', 'service', 'server', '-n', 'shop')).metadata.annotations.note, 'again')
    await ok(
      'patch',
      'service',
      'server',
      '-n',
      'shop',
      '--type=json',
      '-p',
      '[{"op":"remove","path":"/metadata/annotations/note"}]',
    )
    assert.equal((await json('get', 'service', 'server', '-n', 'shop')).metadata.annotations?.note, undefined)
  })

  test('scale, wait, delete', async () => {
    await ok('scale', 'deployment', 'server', '-n', 'shop', '--replicas=2')
    await ok('wait', 'deployment/server', '-n', 'shop', '--for=condition=Available', '--timeout=20s')
    await eventually('two servers', async () =>
      (await json('get', 'deployment', 'server', '-n', 'shop')).status.replicas === 2 ? true : undefined,
    )
    const pod = (await ok('get', 'pods', '-n', 'shop', '-l', 'app=server', '-o', 'name')).split('\n')[0] ?? ''
    await ok('delete', pod, '-n', 'shop', '--wait=true')
    assert.equal((await kubectl('get', pod, '-n', 'shop')).code, 1)
    await ok('wait', 'pod', '-l', 'app=server', '-n', 'shop', '--for=condition=Ready', '--timeout=20s')
  })

  test('api-resources, version, and what is not there', async () => {
    const resources = await ok('api-resources')
    for (const name of [
      'namespaces',
      'nodes',
      'pods',
      'services',
      'configmaps',
      'events',
      'deployments',
      'endpointslices',
    ])
      assert.match(resources, new RegExp(`^${name}\\s`, 'm'))
    assert.match(await ok('version'), /Server Version: v1\.33/)
    const apply = await kubectl('apply', '--server-side', '-f', '-')
    assert.notEqual(apply.code, 0)
  })
})
