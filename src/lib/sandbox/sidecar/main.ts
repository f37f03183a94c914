// SPDX-License-Identifier: Apache-2.0
/**
 * The program behind Istio's image `proxyv2`: `istio-iptables ...` makes the redirection and ends,
 * `proxy sidecar ...` stands in for Envoy and prints one line of JSON a connection.
 */
import {spawnSync} from 'node:child_process'
import {readFileSync, watch} from 'node:fs'
import {createServer, type Socket} from 'node:net'
import {networkInterfaces} from 'node:os'
import {basename, dirname} from 'node:path'
import {originalDestinations} from '../../adapters/original-destination.ts'
import {messageOf} from '../../errors.ts'
import {CONFIG_VARIABLE, type SidecarConfig} from './config.ts'
import {type ConnectionLine, ConnectionRecord, type Place, placeText, sourceOf} from './connection-log.ts'
import {type AppProbe, healthServer} from './health.ts'
import {handleInbound} from './inbound.ts'
import {stepsOf} from './istio-iptables.ts'
import {handleOutbound} from './outbound.ts'
import {refuse} from './relay.ts'

const OUTBOUND_PORT = 15_001
const INBOUND_PORT = 15_006
const HEALTH_PORTS = [15_020, 15_021]
/** Others of the pod may still end their work after SIGTERM. */
const DRAIN_MS = 5000
const LEAST_DRAIN_MS = 2500
const POLL_MS = 100

const print = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

function redirect(args: readonly string[]): void {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({internal, address}) => !internal && !address.startsWith('fe80:'))
    .map(({address}) => address)
  const env = {...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`}
  for (const {file, args: words, input, isOptional} of stepsOf(args, {environment: process.env, addresses})) {
    const {status, stderr, error} = spawnSync(file, words, {env, ...(input === undefined ? {} : {input})})
    if (status === 0 || isOptional === true) continue
    throw new Error(`${file} ${words.join(' ')}: ${error?.message ?? `exit status ${status}: ${stderr}`}`)
  }
}

/** The newest configuration; undefined until there is one. */
function followConfig(file: string): () => SidecarConfig | undefined {
  let current: SidecarConfig | undefined
  const read = (): void => {
    try {
      current = JSON.parse(readFileSync(file, 'utf8')) as SidecarConfig
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      print({level: 'error', message: `${file}: ${messageOf(error)}`})
    }
  }
  watch(dirname(file), (_event, name) => {
    if (name === basename(file)) read()
  })
  read()
  return () => current
}

type Handler = (socket: Socket, to: Place, config: SidecarConfig, record: ConnectionRecord) => void

function listen(
  direction: ConnectionLine['direction'],
  configOf: () => SidecarConfig | undefined,
  handle: Handler,
  open: Set<Socket>,
): void {
  const port = direction === 'outbound' ? OUTBOUND_PORT : INBOUND_PORT
  const destinationOf = originalDestinations()
  const onConnection = (socket: Socket): void => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    socket.on('error', () => socket.destroy())
    const to = destinationOf(socket)
    const record = new ConnectionRecord(
      {
        direction,
        source: sourceOf(socket),
        destination: to === undefined ? '' : placeText(to),
        endpoint: null,
        service: null,
        tls: 'none',
        peer: null,
      },
      print,
    )
    const config = configOf()
    if (to === undefined || to.port === port) refuse(socket, record, 'no rule sent it here')
    else if (config === undefined) refuse(socket, record, 'no configuration yet')
    else handle(socket, to, config, record)
  }
  // One a family: a descriptor then tells of which it is.
  createServer({allowHalfOpen: true}, onConnection).listen({host: '0.0.0.0', port})
  createServer({allowHalfOpen: true}, onConnection).listen({host: '::', port, ipv6Only: true})
}

function proxy(): void {
  const file = process.env[CONFIG_VARIABLE]
  if (file === undefined) throw new Error(`${CONFIG_VARIABLE} is not set`)
  const configOf = followConfig(file)
  const open = new Set<Socket>()
  const randomly: Handler = (socket, to, config, record) =>
    handleOutbound(socket, to, config, record, Math.random)
  const inbound: Handler = (socket, to, config, record) =>
    void handleInbound(socket, to, config, record).catch((error: unknown) =>
      refuse(socket, record, messageOf(error)),
    )
  listen('outbound', configOf, randomly, open)
  listen('inbound', configOf, inbound, open)
  const health = {
    isReady: () => configOf() !== undefined,
    probes: JSON.parse(process.env['ISTIO_KUBE_APP_PROBERS'] ?? '{}') as Record<string, AppProbe>,
    address: process.env['POD_IP'] ?? '127.0.0.1',
  }
  for (const port of HEALTH_PORTS) healthServer(health).listen({host: '::', port})
  process.once('SIGTERM', () => drain(open))
}

/** Serves on for those who still talk, as Envoy does, and ends early when nobody does. */
function drain(open: ReadonlySet<Socket>): void {
  const startMs = performance.now()
  setInterval(() => {
    const passedMs = performance.now() - startMs
    if (passedMs >= DRAIN_MS || (passedMs >= LEAST_DRAIN_MS && open.size === 0)) process.exit(0)
  }, POLL_MS)
}

const [mode, ...rest] = process.argv.slice(2)
try {
  if (mode === 'istio-iptables') redirect(rest)
  else if (mode === 'proxy') proxy()
  else throw new Error(`unknown command "${mode ?? ''}": expected istio-iptables or proxy`)
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = 1
}
