// SPDX-License-Identifier: Apache-2.0
/** The job of `path` in this process: 200 cases then cost no 200 starts of the program. */
import assert from 'node:assert/strict'
import type {PathItem} from '../../src/lib/model/path.ts'
import {type NamedObject, parsePathSubject} from '../../src/lib/model/path-subject.ts'
import {daemonTargets} from '../../src/lib/ops/enroll-facts.ts'
import {findPath, type PathDeps} from '../../src/lib/ops/path.ts'
import type {Log} from '../../src/lib/ports.ts'

const CONNECTIONS = 4

const nothing = () => undefined
const log: Log = {trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing}

/** Items without errors. */
export async function askPath(
  deps: Omit<PathDeps, 'signal'>,
  {namespace, name}: NamedObject,
  server: string,
  family: 4 | 6 | undefined,
): Promise<readonly PathItem[]> {
  const {signal} = new AbortController()
  const access = {...deps, log, signal, concurrency: 4, choice: CHOICE}
  const report = await findPath(
    {...deps, signal},
    {
      client: {namespace, name},
      subject: parsePathSubject(server, namespace),
      family,
      findDaemons: () => daemonTargets(access),
      concurrency: 4,
    },
  )
  assert.deepEqual(report.errors, [])
  return report.items
}

/** So many that a way which is there is missed once in 10 million times. */
export function connectionsFor({verdict, ways}: PathItem): number {
  if (verdict !== 'works') return verdict === 'fails' ? 2 : CONNECTIONS
  const all = ways.reduce((sum, {weight}) => sum + weight, 0)
  const rarest = Math.min(...ways.map(({weight}) => weight / all))
  return rarest === 1 ? CONNECTIONS : Math.ceil(Math.log(1e-7) / Math.log(1 - rarest))
}

const CHOICE = {
  daemonUrl: undefined,
  nodes: [],
  nodeSelector: undefined,
  allNodes: false,
  meshNamespace: 'kmesh-system',
  daemonSelector: 'app=kmesh',
}
