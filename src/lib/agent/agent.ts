// SPDX-License-Identifier: Apache-2.0
/** The running agent, put together from its parts; main.ts gives it the outside. */
import type {Server} from 'node:http'
import {KmeshError, messageOf} from '../errors.ts'
import type {VersionReply} from '../model/api.ts'
import {BYPASS_ANNOTATION} from '../model/bypass.ts'
import type {
  Bpf,
  Clock,
  Informers,
  Kube,
  Netns,
  PinTree,
  PodClasses,
  Proc,
  SidecarRules,
  StateFiles,
} from '../ports.ts'
import {Annotator} from './annotate.ts'
import {followBpfLog} from './bpf-log.ts'
import {type CniOutside, type CniSide, startCni} from './cni.ts'
import {Enroller} from './enroll.ts'
import {IdStore} from './ids.ts'
import {Levels} from './levels.ts'
import {type DataPlane, loadDataPlane} from './loader.ts'
import type {Loggers} from './loggers.ts'
import {MapWriter} from './map-writer.ts'
import type {AgentOptions} from './options.ts'
import {PodEvents} from './pod-events.ts'
import {readiness} from './readiness.ts'
import {Reconciler} from './reconcile.ts'
import {createRoutes} from './routes.ts'
import {createAdminServer} from './server.ts'
import {ServerProbe} from './server-probe.ts'
import {startStatusServer} from './status-server.ts'
import {Watches} from './watches.ts'

export interface AgentParts {
  readonly bpf: Bpf
  readonly pins: PinTree
  readonly netns: Netns
  readonly proc: Proc
  readonly classes: PodClasses
  readonly rules: SidecarRules
  readonly files: StateFiles
  readonly kube: Kube
  readonly informers: Informers
  readonly clock: Clock
  readonly loggers: Loggers
  /** Undefined: no CNI plugin is served. */
  readonly cni?: CniOutside | undefined
  /** Gives back what the first lists left over; once, when the maps hold the cluster. */
  readonly collectGarbage?: (() => void) | undefined
}

const LEFT_BEHIND = {
  kernel: 'programs, maps and enrolled pods stay as they are',
  memory: 'its maps are gone with it',
} as const

export interface RunningAgent {
  /** Port of the admin API; differs from the option where that was 0. */
  readonly adminPort: number
  /** 0 where no status server runs. */
  readonly statusPort: number
  /** Ends watching and serving; pins, links and enrolled pods stay. */
  stop(): Promise<void>
}

/**
 * Loads, adopts, serves and follows the cluster. Returns when the admin API answers.
 * @throws KmeshError `ForeignPins`, `AdminAddressInUse`; LayoutError, KernelError
 */
export async function startAgent(
  parts: AgentParts,
  options: AgentOptions,
  objectFile: string,
  version: VersionReply,
): Promise<RunningAgent> {
  const {loggers, clock, files} = parts
  const status = await startStatusServer({...options, log: loggers.log('admin')})
  const loader = {...parts, log: loggers.log('loader')}
  const plane = loadDataPlane(loader, {...options, objectFile, version: version.gitVersion})
  const ids = new IdStore(files, clock, loggers.log('reconcile'))
  const levels = createLevels(parts, options, plane)
  const stopBpfLog = followBpfLog(plane.logEvents, clock, loggers.log('agent'), (line) =>
    loggers.bpfLine(line),
  )
  const reconciler = new Reconciler({
    writer: await MapWriter.open(plane.routing),
    ids: ids.table,
    clock,
    log: loggers.log('reconcile'),
    clusterDomain: options.clusterDomain,
    onSynced: () => {
      plane.migration?.complete()
      parts.collectGarbage?.()
    },
  })
  const enroller = createEnroller(parts, options, plane, reconciler)
  const cni = await startCniSide(parts, options, reconciler, enroller)
  const watches = createWatches(parts, options, reconciler, enroller, cni)
  const probe = new ServerProbe(parts.kube, clock, loggers.log('watch'))
  const node = [reconciler, enroller, ids, ...(plane.migration === undefined ? [] : [plane.migration])]
  const checks = () => readiness(reconciler, node, [watches, probe], cni)
  const routes = createRoutes({
    version,
    levels,
    cluster: reconciler.cluster,
    clusterDomain: options.clusterDomain,
    routing: plane.routing,
    maps: plane.maps,
    names: {ofId: (id) => ids.table.nameOf(id), ofCookies: () => enroller.podsByCookie()},
    ready: checks,
    enrollment: () => enroller.report(),
  })
  const server = createAdminServer(routes, loggers.log('admin'))
  const adminPort = await listen(server, options)
  watches.start()
  probe.start()
  status.readyIs(checks)
  loggers
    .log('agent')
    .info('agent runs', {node: options.nodeName, admin: `${options.adminHost}:${adminPort}`})
  return {
    adminPort,
    statusPort: status.port,
    stop: async () => {
      await cni?.stop()
      watches.close()
      probe.stop()
      plane.migration?.stop()
      reconciler.stop()
      enroller.stop()
      stopBpfLog()
      status.close()
      server.close()
      server.closeAllConnections()
      await ids.close()
      loggers.log('agent').info(`agent stopped; ${LEFT_BEHIND[options.backend]}`)
    },
  }
}

function createLevels(
  {loggers, files, clock}: AgentParts,
  {persistSettings: persist}: AgentOptions,
  {globals}: DataPlane,
): Levels {
  return new Levels({loggers, globals, files, clock, log: loggers.log('admin'), persist})
}

function createEnroller(
  parts: AgentParts,
  options: AgentOptions,
  plane: DataPlane,
  {cluster}: Reconciler,
): Enroller {
  const log = parts.loggers.log('enroll')
  return new Enroller({
    ...parts,
    log,
    manage: plane.manage,
    annotator: new Annotator(parts.kube, parts.clock, log),
    bypassAnnotator: new Annotator(parts.kube, parts.clock, log, BYPASS_ANNOTATION),
    events: new PodEvents(parts.kube, parts.clock, log, options.nodeName),
    existingPods: options.existingPods,
    sidecarPolicy: options.sidecarPolicy,
    adopted: plane.adopted,
    nodeName: options.nodeName,
    identity: options.identity,
    namespace: (name) => cluster.namespaces.get(name),
  })
}

/** Pods are enrolled before their first packet only when the maps can serve it. */
async function startCniSide(
  {cni, ...parts}: AgentParts,
  {sidecarPolicy}: AgentOptions,
  reconciler: Reconciler,
  enroller: Enroller,
): Promise<CniSide | undefined> {
  if (cni === undefined) return undefined
  return await startCni({
    ...parts,
    ...cni,
    enroller,
    sidecarPolicy,
    namespaces: () => reconciler.cluster.namespaces.values(),
    obstacle: () =>
      reconciler.synced ? undefined : 'the agent starts: the maps do not yet hold the cluster',
  })
}

function createWatches(
  parts: AgentParts,
  options: AgentOptions,
  reconciler: Reconciler,
  enroller: Enroller,
  cni: CniSide | undefined,
): Watches {
  const log = parts.loggers.log('watch')
  return new Watches({
    ...parts,
    log,
    cluster: reconciler.cluster,
    enroller,
    nodeName: options.nodeName,
    pods: options.pods,
    onNodeChange: () => cni?.touch(),
    onSynced: () => {
      log.info('every list is complete')
      reconciler.start()
      enroller.start()
      cni?.start()
    },
  })
}

function listen(server: Server, {adminHost, adminPort}: AgentOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new KmeshError(`cannot serve the admin API on ${adminHost}:${adminPort}: ${messageOf(error)}`, {
          code: 'AdminAddress',
          hints: ['choose another one with --admin-address'],
          cause: error,
        }),
      ),
    )
    server.listen(adminPort, adminHost, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : adminPort)
    })
  })
}
