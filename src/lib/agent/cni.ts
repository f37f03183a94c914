// SPDX-License-Identifier: Apache-2.0
/** The agent's side of kmesh-cni: its socket and the file for when the agent is away. Nothing else needs it. */
import type {Server} from 'node:net'
import {messageOf} from '../errors.ts'
import type {SidecarPolicy} from '../model/api.ts'
import {DATAPLANE_LABEL, isKmesh} from '../model/enrollment.ts'
import type {Namespace} from '../model/kube.ts'
import type {Clock, StateFiles} from '../ports.ts'
import {CaseLog} from './case-log.ts'
import {Attachments} from './cni-attachments.ts'
import {CniCacheWriter} from './cni-cache.ts'
import {type CniEnroller, createCniRoutes} from './cni-routes.ts'
import {createCniServer} from './cni-server.ts'
import type {Loggers} from './loggers.ts'

/** What CNI needs of the node. */
export interface CniOutside {
  readonly socket: {
    readonly path: string
    listen(server: Server, onRefused: (uid: number | undefined) => void): Promise<void>
  }
  /** Of the run directory. */
  readonly runFiles: StateFiles
  readonly reachNetns: (path: string) => string
  /** Undefined: somebody else installs the plugin. */
  readonly conflist?: CniInstall | undefined
}

/** Keeps plugin and conflist in place while the agent runs. */
export interface CniInstall {
  start(): Promise<void>
  problems(): readonly string[]
  message(): string
  stop(): Promise<void>
}

export interface CniSideParts extends CniOutside {
  readonly enroller: CniEnroller
  readonly sidecarPolicy: SidecarPolicy
  readonly namespaces: () => Iterable<Namespace>
  /** Why pods cannot be enrolled now; undefined when they can. */
  readonly obstacle: () => string | undefined
  readonly files: StateFiles
  readonly clock: Clock
  readonly loggers: Loggers
}

export interface CniSide {
  /** Pods and namespaces are complete. */
  start(): void
  /** A pod or a namespace has changed. */
  touch(): void
  problems(): readonly string[]
  /** Where the plugin is called from. */
  message(): string
  stop(): Promise<void>
}

/** Returns when the socket answers. @throws ConflictError, KmeshError of the socket */
export async function startCni(parts: CniSideParts): Promise<CniSide> {
  const {socket, clock, enroller, conflist} = parts
  const log = parts.loggers.log('enroll')
  const cases = new CaseLog(log, clock)
  const attachments = new Attachments({files: parts.files, clock, log})
  const cache = new CniCacheWriter({files: parts.runFiles, clock, log, contents: () => contentsOf(parts)})
  const routes = createCniRoutes({...parts, enroller: touching(enroller, cache), attachments, log})
  const server = createCniServer(routes, cases)
  await socket.listen(server, (uid) =>
    cases.warn('peer', `CNI socket: a peer of user ${uid ?? 'unknown'} was refused`),
  )
  server.on('error', (error) => cases.warn('server', `CNI socket: ${messageOf(error)}`))
  log.info('CNI socket answers', {path: socket.path})
  return {
    start: () => {
      cache.start()
      void conflist?.start()
    },
    touch: () => cache.touch(),
    problems: () => [...cache.problems(), ...attachments.problems(), ...(conflist?.problems() ?? [])],
    message: () => conflist?.message() ?? '',
    stop: async () => {
      // First, so that no runtime asks a socket that is closed.
      await conflist?.stop()
      server.close()
      server.closeAllConnections()
      await Promise.all([cache.close(), attachments.close()])
    },
  }
}

/** A pod that came through CNI may be told by no watch yet. */
function touching(enroller: CniEnroller, cache: CniCacheWriter): CniEnroller {
  return {
    addPod: (request) => enroller.addPod(request).finally(() => cache.touch()),
    removePod: (request) => enroller.removePod(request),
    report: () => enroller.report(),
  }
}

function contentsOf({namespaces, enroller, sidecarPolicy}: CniSideParts) {
  const enrolling = [...namespaces()].filter(({metadata}) => isKmesh(metadata.labels?.[DATAPLANE_LABEL]))
  return {
    sidecarPolicy,
    namespaces: enrolling.map(({metadata}) => metadata.name ?? '').sort(),
    pods: Object.fromEntries(enroller.report().map(({uid, intent}) => [uid, intent])),
  }
}
