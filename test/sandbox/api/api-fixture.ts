// SPDX-License-Identifier: Apache-2.0
/** A running API server on a free port of 127.0.0.1, clients of it, and on request its controllers and a fake kubelet. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {createClock} from '../../../src/lib/adapters/clock.ts'
import {createKube} from '../../../src/lib/adapters/kube.ts'
import {loadConnection} from '../../../src/lib/adapters/kubeconfig.ts'
import {createInformers} from '../../../src/lib/adapters/watch.ts'
import {type NodeObject, type Pod, RESOURCES} from '../../../src/lib/model/kube.ts'
import type {Informers, Kube, Log} from '../../../src/lib/ports.ts'
import type {Authorize} from '../../../src/lib/sandbox/api/authenticate.ts'
import type {DialNode} from '../../../src/lib/sandbox/api/kubelet.ts'
import {type ApiServer, createApiServer} from '../../../src/lib/sandbox/api/server.ts'
import {startControllers} from '../../../src/lib/sandbox/controllers/start.ts'
import {kubeconfigText} from '../../../src/lib/sandbox/kubeconfig.ts'
import {type Authority, createAuthority, type KeyPair} from '../../../src/lib/sandbox/pki.ts'

export interface ApiFixture {
  readonly api: ApiServer
  readonly port: number
  readonly server: string
  readonly authority: Authority
  /** Certificate of a user in system:masters. */
  readonly admin: KeyPair
  readonly kubeconfigFile: string
  readonly kube: Kube
  readonly informers: Informers
  /** Warnings and errors of server and controllers. */
  readonly problems: string[]
  close(): Promise<void>
}

export interface FixtureOptions {
  readonly serviceCidrs?: readonly string[]
  readonly dialNode?: DialNode
  readonly authorize?: Authorize
  readonly historyLimit?: number
  readonly controllers?: boolean
}

export async function startApi(options: FixtureOptions = {}): Promise<ApiFixture> {
  const clock = createClock()
  const problems: string[] = []
  const log = collectingLog(problems)
  const authority = await createAuthority('kmesh-test', Date.now())
  const serving = await authority.issueServer(['127.0.0.1'])
  const admin = await authority.issueClient('admin', ['system:masters'])
  const unreachable: DialNode = async (name) => Promise.reject(new Error(`no kubelet of ${name}`))
  const api = createApiServer({
    authorityPem: authority.certificatePem,
    serving,
    clock,
    log,
    dialNode: options.dialNode ?? unreachable,
    serviceCidrs: options.serviceCidrs ?? ['10.96.0.0/24', 'fd00:10:96::/112'],
    ...(options.authorize ? {authorize: options.authorize} : {}),
    ...(options.historyLimit ? {historyLimit: options.historyLimit} : {}),
  })
  const port = await api.listen({host: '127.0.0.1', port: 0})
  const server = `https://127.0.0.1:${port}`
  const folder = mkdtempSync(join(tmpdir(), `kmt${process.pid}-api-`))
  const kubeconfigFile = join(folder, 'kubeconfig')
  const text = kubeconfigText({name: 'test', server, authorityPem: authority.certificatePem, client: admin})
  writeFileSync(kubeconfigFile, text, {mode: 0o600})
  const connection = await loadConnection({kubeconfig: kubeconfigFile})
  const kube = createKube(connection, {clock, log, requestTimeoutMs: 10_000})
  const informers = createInformers({kube, clock, log})
  const controllers = options.controllers ? startControllers({kube, informers, clock, log}) : undefined
  return {
    api,
    port,
    server,
    authority,
    admin,
    kubeconfigFile,
    kube,
    informers,
    problems,
    close: async () => {
      controllers?.close()
      await kube.close()
      await api.close()
      rmSync(folder, {recursive: true, force: true})
    },
  }
}

function collectingLog(problems: string[]): Log {
  const keep = (message: string, fields?: object): void =>
    void problems.push(`${message} ${JSON.stringify(fields ?? {})}`)
  return {trace: () => {}, debug: () => {}, info: () => {}, warn: keep, error: keep}
}

/** Registers Ready nodes. */
export async function addNodes(kube: Kube, ...names: string[]): Promise<void> {
  for (const name of names) {
    const node: NodeObject = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {name},
      status: {
        conditions: [{type: 'Ready', status: 'True'}],
        addresses: [{type: 'InternalIP', address: '192.0.2.1'}],
      },
    }
    await kube.create(RESOURCES.nodes, node)
  }
}

/** Stands in for kubelets: scheduled pods run and are Ready with addresses after `startMs`, deleted ones go after `stopMs`. */
export function startFakeKubelet({kube, informers}: ApiFixture, times = {startMs: 0, stopMs: 0}): () => void {
  let count = 0
  const known = new Set<string>()
  const stopping = new Set<string>()
  const informer = informers.start<Pod>(RESOURCES.pods, {
    handler: {
      onChange: (pod) => {
        const {uid = '', name = '', namespace = ''} = pod.metadata
        const path = {...RESOURCES.pods, namespace, name}
        if (pod.metadata.deletionTimestamp !== undefined) {
          if (stopping.has(uid)) return
          stopping.add(uid)
          void sleep(times.stopMs).then(() => kube.delete(path, {gracePeriodSeconds: 0}).catch(() => {}))
        } else if (pod.spec?.nodeName && !known.has(uid)) {
          known.add(uid)
          count += 1
          const [v4, v6] = [`10.1.0.${count}`, `fd00::${count.toString(16)}`]
          const status = {
            phase: 'Running',
            podIP: v4,
            podIPs: [{ip: v4}, {ip: v6}],
            conditions: [{type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString()}],
            containerStatuses: pod.spec.containers.map((container) => ({
              name: container.name,
              ready: true,
              restartCount: 0,
              state: {running: {}},
            })),
          }
          void sleep(times.startMs).then(() =>
            kube.mergePatch({...path, subresource: 'status'}, {status}).catch(() => {}),
          )
        }
      },
      onDelete: () => {},
    },
  })
  return () => informer.close()
}

/** Calls `probe` until it gives something; fails after `timeoutMs`. */
export async function eventually<T>(
  probe: () => T | undefined | Promise<T | undefined>,
  timeoutMs = 5000,
): Promise<T> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const value = await probe()
    if (value !== undefined) return value
    if (Date.now() > end) throw new Error(`did not happen within ${timeoutMs} ms: ${probe.toString()}`)
    await sleep(10)
  }
}
