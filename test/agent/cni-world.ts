// SPDX-License-Identifier: Apache-2.0
/** Enrollment on fakes with one sandbox that CNI has made, by path and without a process. */
import type {KubeObject} from '../../src/lib/model/kube.ts'
import {createWorld} from './enroll-world.ts'
import {namespace} from './fakes.ts'

/** Cookie 7 is its third part, as the fake has it. */
export const NETNS = '/netns/7/a'

export function createCniWorld() {
  const world = createWorld()
  world.node.paths.set(NETNS, 'sandbox-7')
  const known = (object: KubeObject) => void world.kube.objects.set('pods/shop/a', object)
  const request = (change: object = {}) => ({
    namespace: 'shop',
    name: 'a',
    uid: 'uid-a',
    netnsPath: NETNS,
    ...change,
  })
  world.kube.objects.set('namespaces/shop', namespace('shop'))
  return {...world, known, request}
}
