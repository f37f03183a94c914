// SPDX-License-Identifier: Apache-2.0
/** etcd and kube-apiserver of a folder, in this network namespace on free ports of 127.0.0.1; needs no root. */
import {mkdtempSync, rmSync} from 'node:fs'
import {createServer} from 'node:net'
import {networkInterfaces, tmpdir} from 'node:os'
import {join} from 'node:path'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {systemCommands} from '../../src/lib/adapters/commands.ts'
import type {Log} from '../../src/lib/ports.ts'
import {createAuthority} from '../../src/lib/sandbox/pki.ts'
import {writeCredentials} from '../../src/lib/sandbox/real-control-plane/credentials.ts'
import {findPrograms} from '../../src/lib/sandbox/real-control-plane/programs.ts'
import {waitUntilReady} from '../../src/lib/sandbox/real-control-plane/ready.ts'
import {startServers} from '../../src/lib/sandbox/real-control-plane/servers.ts'
import type {Target} from './kube-api.ts'

const nothing = (): void => undefined
const QUIET: Log = {trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing}
/** As the fixture of the sandbox's own API has them. */
const SERVICE_CIDRS = ['10.96.0.0/24', 'fd00:10:96::/112']

/** @param directory absolute path of the folder with the programs */
export async function startRealApi(directory: string): Promise<Target> {
  const found = findPrograms(directory, process.arch)
  const clock = createClock()
  const stopping = new AbortController()
  const home = mkdtempSync(join(tmpdir(), 'kmeshctl-contract-'))
  const [api = 0, etcdClient = 0, etcdPeer = 0] = await freePorts(3)
  const server = `https://127.0.0.1:${api}`
  const authority = await createAuthority('kmesh-test', Date.now())
  const files = await writeCredentials({
    directory: join(home, 'credentials'),
    authority,
    servingNames: ['127.0.0.1', 'localhost'],
    kubeletClientName: 'contract',
    server,
  })
  const servers = await startServers({
    // The suite is about the API alone.
    programs: {...found, controllerManager: undefined, scheduler: undefined},
    files,
    ports: {api, etcdClient, etcdPeer},
    advertiseAddress: anyAddress(),
    serviceCidrs: SERVICE_CIDRS,
    directory: home,
    outputDir: join(home, 'output'),
    place: {},
    env: {PATH: process.env['PATH'] ?? ''},
    commands: systemCommands(),
    clock,
    log: QUIET,
    stopping: stopping.signal,
  })
  const close = async (): Promise<void> => {
    stopping.abort()
    await servers.done
    rmSync(home, {recursive: true, force: true})
  }
  const admin = await authority.issueClient('admin', ['system:masters'])
  const access = {server, authorityPem: authority.certificatePem}
  const problem = (): string | undefined => servers.problem()
  try {
    await waitUntilReady({...access, client: admin, clock, signal: stopping.signal, problem})
  } catch (error) {
    await close()
    throw error
  }
  return {...access, ...admin, close}
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({length: count}, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as {port: number}).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** kube-apiserver refuses to advertise a loopback address. It is only written down. */
function anyAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.find(({family, internal}) => family === 'IPv4' && !internal)?.address ?? '192.0.2.1'
}
