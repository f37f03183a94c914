// SPDX-License-Identifier: Apache-2.0
/** Where commands meet the process: streams, signals, environment, and the adapters (loaded when used). */
import {KmeshError, messageOf} from '../errors.ts'
import type {AdminDialer, Clock, Informers, Kube, LeaseFiles, Log, LogFields} from '../ports.ts'
import {clean} from '../render/text.ts'
import {
  type ColorFlags,
  type EndSignal,
  InterruptedError,
  PipeClosedError,
  type Terminal,
  wantsColor,
} from './terminal.ts'

export function openTerminal(flags: ColorFlags): Terminal {
  const {stdin, stdout, stderr} = process
  // oclif's own listener throws what is not EPIPE out of an event; failed writes are told to their caller.
  stdout.removeAllListeners('error').on('error', () => undefined)
  return {
    out: (text) =>
      new Promise((resolve, reject) => {
        if (text === '') return resolve()
        stdout.write(text, (error) => (error ? reject(writeError(error)) : resolve()))
      }),
    err: (text) => {
      stderr.write(text)
    },
    colorOut: wantsColor(flags, process.env, stdout.isTTY === true),
    colorErr: wantsColor(flags, process.env, stderr.isTTY === true),
    interactive: stdin.isTTY === true && stderr.isTTY === true,
    animated: stderr.isTTY === true && !process.env['CI'] && process.env['TERM'] !== 'dumb',
    question: async (text, signal) => {
      const {createInterface} = await import('node:readline/promises')
      const lines = createInterface({input: stdin, output: stderr})
      // In raw mode Ctrl-C is a byte and no signal; here it shall mean what it means everywhere.
      lines.once('SIGINT', () => process.kill(process.pid, 'SIGINT'))
      try {
        const ended = new Promise<undefined>((resolve) => lines.once('close', () => resolve(undefined)))
        return await Promise.race([lines.question(text, {signal}), ended])
      } catch (error) {
        stderr.write('\n')
        throw error
      } finally {
        lines.close()
      }
    },
  }
}

function writeError(error: NodeJS.ErrnoException): KmeshError {
  if (error.code === 'EPIPE') return new PipeClosedError()
  return new KmeshError(`cannot write to stdout: ${messageOf(error)}`, {code: 'OutputFailed', cause: error})
}

/** How long a command may clean up after the first signal. */
const CLEAN_UP_MS = 5000

export interface Signals {
  readonly signal: AbortSignal
  /** Rejects some time after a signal, for work that does not listen to it. */
  readonly expired: Promise<never>
  close(): void
}

/** The first SIGINT, SIGTERM or SIGHUP aborts, with an InterruptedError as reason; the second one ends the process at once. */
export function openSignals(): Signals {
  const controller = new AbortController()
  let expire: (reason: unknown) => void = () => undefined
  const expired = new Promise<never>((_resolve, reject) => {
    expire = reject
  })
  expired.catch(() => undefined)
  const onSignal = (name: EndSignal): void => {
    const reason = new InterruptedError(name)
    if (controller.signal.aborted) process.exit(reason.exitCode)
    controller.abort(reason)
    setTimeout(() => expire(reason), CLEAN_UP_MS).unref()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  process.on('SIGHUP', onSignal)
  return {
    signal: controller.signal,
    expired,
    close: () => {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
      process.off('SIGHUP', onSignal)
    },
  }
}

/** For live views, which draw over several lines. */
export function errorStream(): NodeJS.WriteStream {
  return process.stderr
}

export function setExitCode(code: number): void {
  process.exitCode = code
}

/** Messages on stderr: warnings always (but with -q), info with -v, the rest with --debug. */
export function stderrLog(level: 'quiet' | 'normal' | 'verbose' | 'debug'): Log {
  const rank = {quiet: 0, normal: 1, verbose: 2, debug: 3}[level]
  const write = (from: number, word: string) => (message: string, fields?: LogFields) => {
    if (rank < from) return
    const rest = fields === undefined ? '' : ` ${JSON.stringify(fields)}`
    process.stderr.write(`${word}: ${clean(`${message}${rest}`)}\n`)
  }
  return {
    trace: write(3, 'trace'),
    debug: write(3, 'debug'),
    info: write(2, 'info'),
    warn: write(1, 'warning'),
    error: write(0, 'error'),
  }
}

/** Leases that this user's kmeshctl holds, or left behind. */
export async function openLeases(): Promise<LeaseFiles> {
  const {createLeaseFiles} = await import('../adapters/lease-files.ts')
  const {XDG_STATE_HOME, HOME} = process.env
  return createLeaseFiles(XDG_STATE_HOME || `${HOME || '/root'}/.local/state`)
}

export async function openClock(): Promise<Clock> {
  const {createClock} = await import('../adapters/clock.ts')
  return createClock()
}

/** Flags of `kubeFlags`, as far as a command has them. */
export interface KubeFlagValues {
  readonly kubeconfig?: string | undefined
  readonly context?: string | undefined
  readonly cluster?: string | undefined
  readonly user?: string | undefined
  readonly server?: string | undefined
  readonly 'token-file'?: string | undefined
  readonly 'certificate-authority'?: string | undefined
  readonly 'tls-server-name'?: string | undefined
  readonly 'insecure-skip-tls-verify'?: boolean | undefined
  readonly as?: string | undefined
  readonly 'as-group'?: readonly string[] | undefined
  readonly 'as-uid'?: string | undefined
  readonly 'request-timeout'?: number | undefined
}

export interface OpenKube {
  readonly kube: Kube
  /** Namespace of the context, else `default`. */
  readonly namespace: string
  /** Names in the kubeconfig; null: none was used. */
  readonly context: string | null
  readonly cluster: string | null
}

export async function openKube(flags: KubeFlagValues, clock: Clock, log: Log): Promise<OpenKube> {
  const [{loadConnection}, {createKube}] = await Promise.all([
    import('../adapters/kubeconfig.ts'),
    import('../adapters/kube.ts'),
  ])
  const connection = await loadConnection({
    kubeconfig: flags.kubeconfig,
    context: flags.context,
    cluster: flags.cluster,
    user: flags.user,
    server: flags.server,
    tokenFile: flags['token-file'],
    token: process.env['KMESHCTL_TOKEN'],
    certificateAuthority: flags['certificate-authority'],
    tlsServerName: flags['tls-server-name'],
    insecureSkipTlsVerify: flags['insecure-skip-tls-verify'],
    asUser: flags.as,
    asGroups: flags['as-group'],
    asUid: flags['as-uid'],
  })
  const requestTimeoutMs = flags['request-timeout'] ?? 10_000
  const onRequest = (what: string): void => log.info(`asking the API server: ${what}`)
  const kube = createKube(connection, {clock, log, requestTimeoutMs, onRequest})
  const {namespace, contextName = null, clusterName = null} = connection
  return {kube, namespace, context: contextName, cluster: clusterName}
}

/** Names of the contexts, clusters or users of the kubeconfig files. @throws KmeshError `BadKubeconfig` */
export async function kubeconfigNames(
  kubeconfig: string | undefined,
  kind: 'contexts' | 'clusters' | 'users',
): Promise<string[]> {
  const {readConfigs} = await import('../adapters/kubeconfig.ts')
  const configs = await readConfigs({kubeconfig})
  return configs[kind].map(({name}) => name)
}

export interface DialerOptions {
  readonly kube: Kube | undefined
  readonly adminPort: number
  readonly requestTimeoutMs: number
  readonly clock: Clock
}

export async function openDialer(options: DialerOptions): Promise<AdminDialer> {
  const [{createDialer}, {openTunnels}] = await Promise.all([
    import('../adapters/admin-client.ts'),
    import('../adapters/tunnels.ts'),
  ])
  const {kube, clock} = options
  const tunnels = kube && openTunnels(kube, {clock, random: Math.random})
  return {...createDialer({...options, kube: tunnels}), tunnels}
}

/** Lists that stay current, for commands that follow. */
export async function openInformers(kube: Kube, clock: Clock, log: Log): Promise<Informers> {
  const {createInformers} = await import('../adapters/watch.ts')
  return createInformers({kube, clock, log})
}
