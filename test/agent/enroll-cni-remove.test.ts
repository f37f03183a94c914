// SPDX-License-Identifier: Apache-2.0
// Goal: CNI takes down exactly the sandbox that it names, also late, twice, and after a restart of the agent.
// Method: Enroller on fakes; entries after each request.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {createCniWorld, NETNS} from './cni-world.ts'
import {KMESH} from './enroll-world.ts'
import {pod} from './fakes.ts'

describe('remove', () => {
  async function added() {
    const world = createCniWorld()
    const enroller = world.start()
    enroller.start()
    world.known(pod('shop/a', [], KMESH))
    await enroller.addPod(world.request())
    enroller.podChanged(pod('shop/a', [], KMESH))
    return {...world, enroller}
  }

  test('takes the entry out at once, also done twice; the pod gets its next sandbox', async () => {
    const {enroller, cookies, request, node, clock} = await added()
    node.run('uid-a', 7n)
    await enroller.removePod(request())
    await enroller.removePod(request())
    await clock.advance(5000)
    assert.deepEqual(cookies(), [], 'a process of the old sandbox that is still seen changes nothing')
    node.paths.set('/netns/8/a', 'sandbox-8')
    await enroller.addPod(request({netnsPath: '/netns/8/a'}))
    assert.deepEqual(cookies(), ['8'])
  })

  test('of an old sandbox, after the new one came: the new one stays', async () => {
    const {enroller, cookies, request, node} = await added()
    node.paths.set('/netns/8/a', 'sandbox-8')
    await enroller.addPod(request({netnsPath: '/netns/8/a'}))
    assert.deepEqual(cookies(), ['8'])
    await enroller.removePod(request())
    node.paths.delete(NETNS)
    await enroller.removePod(request())
    await enroller.removePod(request({netnsPath: ''}))
    assert.deepEqual(cookies(), ['8'])
  })

  test('a path that is gone is known by its name, over a restart too', async () => {
    const {cookies, request, node, start} = await added()
    node.paths.delete(NETNS)
    const next = start()
    await next.removePod(request())
    assert.deepEqual(cookies(), [])
    next.start()
    assert.deepEqual(cookies(), [])
  })

  test('pods that nobody knows are no error', async () => {
    const {enroller, cookies, request} = await added()
    await enroller.removePod(request({name: 'b', uid: 'uid-b', netnsPath: '/netns/9/gone'}))
    assert.deepEqual(cookies(), ['7'])
  })
})
