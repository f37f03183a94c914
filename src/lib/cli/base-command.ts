// SPDX-License-Identifier: Apache-2.0
/** A command with the outside at hand: one cluster and its daemons, opened when they are used. */
import type {Command} from '@oclif/core'
import {UsageError} from '../errors.ts'
import type {AdminDialer, Kube} from '../ports.ts'
import {FORMATS} from '../render/formats.ts'
import {sayingDialer} from './ask-log.ts'
import {type FanOutSink, showFanOut} from './fan-out-progress.ts'
import {OutputCommand} from './output-command.ts'
import {type KubeFlagValues, type OpenKube, openDialer, openKube, openLeases} from './wiring.ts'

/** Flags that the methods below look at, where a command has them. */
interface ClusterFlags extends KubeFlagValues {
  readonly namespace?: string
  readonly 'admin-port'?: number
  readonly 'daemon-url'?: string
  readonly node?: readonly string[]
  readonly 'node-selector'?: string
  readonly 'all-nodes'?: boolean
  readonly 'mesh-namespace'?: string
  readonly 'daemon-selector'?: string
  readonly concurrency?: number
  readonly 'max-nodes'?: number
  readonly sample?: number
}

const DEFAULT_CONCURRENCY = 32

export abstract class BaseCommand<C extends typeof Command> extends OutputCommand<C> {
  private openedKube: Promise<OpenKube> | undefined
  private openedDialer: Promise<AdminDialer> | undefined

  /** Cluster and namespace of the flags; nothing is read before the first call. */
  protected async kube(): Promise<Kube> {
    return (await this.openKube()).kube
  }

  /** `-n`, else the context's namespace, else `default`. */
  protected async namespace(): Promise<string> {
    return this.outside.namespace ?? (await this.openKube()).namespace
  }

  /** Which cluster this is, in words of the kubeconfig. */
  protected async place(): Promise<Omit<OpenKube, 'kube' | 'namespace'> & {readonly server: string}> {
    const {context, cluster, kube} = await this.openKube()
    return {context, cluster, server: kube.server}
  }

  /** Opens admin endpoints: through the API server, or with --daemon-url without it. */
  protected dialer(): Promise<AdminDialer> {
    this.openedDialer ??= this.openDialer()
    return this.openedDialer
  }

  /**
   * Everything that finding and asking daemons needs, from the flags of `targetFlags` and `meshFlags`. It has
   * the shape of `DaemonAccess` in lib/ops/access.ts.
   */
  protected async daemonAccess() {
    const flags = this.outside
    return {
      kube: flags['daemon-url'] === undefined ? await this.kube() : undefined,
      dialer: await this.dialer(),
      clock: this.clock,
      log: this.logger,
      signal: this.signal,
      concurrency: flags.concurrency ?? DEFAULT_CONCURRENCY,
      ceiling: flags.concurrency,
      progress: this.progress(),
      choice: {
        daemonUrl: flags['daemon-url'],
        nodes: flags.node ?? [],
        nodeSelector: flags['node-selector'],
        allNodes: flags['all-nodes'] ?? false,
        meshNamespace: flags['mesh-namespace'] ?? 'kmesh-system',
        daemonSelector: flags['daemon-selector'] ?? 'app=kmesh',
        maxNodes: flags['max-nodes'],
        sample: flags.sample,
      },
    }
  }

  /** Leases of this user's kmeshctl on daemons that cannot end them by themselves. */
  protected leases() {
    return openLeases()
  }

  /** For commands that change daemons: nothing is chosen by leaving flags out. @throws UsageError */
  protected requireTargets(): void {
    const flags = this.outside
    if (flags['daemon-url'] || flags.node?.length || flags['node-selector'] || flags['all-nodes']) return
    throw new UsageError('which daemons? Nothing is changed on all of them unless you say so', {
      hints: ['use --node, --node-selector, --all-nodes or --daemon-url'],
    })
  }

  private get outside(): ClusterFlags {
    return this.flags as unknown as ClusterFlags
  }

  /** Nothing for machines: their stderr holds errors only. */
  private progress(): FanOutSink | undefined {
    if (this.flags.quiet || FORMATS[this.format].machine) return undefined
    return showFanOut(this.clock, this.terminal.animated, (text) => this.terminal.err(text))
  }

  private openKube(): Promise<OpenKube> {
    this.openedKube ??= openKube(this.outside, this.clock, this.logger).then((opened) => {
      this.onClose(() => opened.kube.close())
      return opened
    })
    return this.openedKube
  }

  private async openDialer(): Promise<AdminDialer> {
    const {'daemon-url': daemonUrl, 'admin-port': adminPort} = this.outside
    const dialer = await openDialer({
      kube: daemonUrl === undefined ? await this.kube() : undefined,
      adminPort: adminPort ?? 15_200,
      requestTimeoutMs: this.outside['request-timeout'] ?? 10_000,
      clock: this.clock,
    })
    this.onClose(() => dialer.close())
    const isSaid = this.flags.verbose || this.flags.debug
    return isSaid ? sayingDialer(dialer, this.logger) : dialer
  }
}
