// SPDX-License-Identifier: Apache-2.0
/** Connections to one API server: a pool for a set of certificates, through a proxy where the configuration has one. */
import type {TLSSocket} from 'node:tls'
import {Agent, type Dispatcher, ProxyAgent} from 'undici'
import {KmeshError} from '../errors.ts'
import type {Clock} from '../ports.ts'
import type {Connection} from './kubeconfig.ts'
import type {Credentials} from './kubeconfig-credentials.ts'
import {TlsConnector} from './tls-connector.ts'

export interface KubeAgentOptions {
  readonly clock: Clock
  readonly connectTimeoutMs: number
}

interface Pool {
  readonly dispatcher: Dispatcher
  /** What opens connections for WebSockets: the same certificates and sessions as for requests. */
  readonly tls: TlsConnector
}

export class KubeAgent {
  private readonly connection: Connection
  private readonly options: KubeAgentOptions
  private known: (Pool & {of: Credentials['tls']; readonly key: string}) | undefined

  constructor(connection: Connection, options: KubeAgentOptions) {
    this.connection = connection
    this.options = options
  }

  /** An exec plugin may bring new certificates: then the old pool ends with its last request. */
  of({tls}: Credentials): Pool {
    if (this.known?.of === tls) return this.known
    const key = Object.entries(tls).join('\n')
    if (this.known?.key === key) {
      this.known.of = tls
      return this.known
    }
    this.known?.dispatcher.close().catch(() => undefined)
    const connector = new TlsConnector(tls)
    this.known = {of: tls, key, tls: connector, dispatcher: this.createAgent(tls, connector)}
    return this.known
  }

  async close(): Promise<void> {
    await this.known?.dispatcher.destroy()
    this.known = undefined
  }

  private createAgent(tls: Credentials['tls'], connector: TlsConnector): Dispatcher {
    const {proxyUrl, server} = this.connection
    const timeout = this.options.connectTimeoutMs
    const connect = {...tls, timeout}
    if (proxyUrl === undefined && server.startsWith('https:')) {
      return new Agent({
        pipelining: 1,
        connect: (target, callback) => this.connect(connector, target, callback),
      })
    }
    if (proxyUrl === undefined)
      return new Agent({connect: connect as Agent.Options['connect'] & object, pipelining: 1})
    if (!/^https?:/.test(proxyUrl)) {
      throw new KmeshError(`proxy-url ${proxyUrl} is not supported: only http and https proxies are`, {
        code: 'UnsupportedProxy',
      })
    }
    return new ProxyAgent({uri: proxyUrl, requestTls: connect as ProxyAgent.Options['requestTls'] & object})
  }

  private connect(
    connector: TlsConnector,
    {hostname, port}: {hostname: string; port: string},
    callback: (...result: [null, TLSSocket] | [Error, null]) => void,
  ): void {
    const socket = connector.open(hostname.replace(/^\[|\]$/g, ''), Number(port || 443))
    const stop = this.options.clock.after(this.options.connectTimeoutMs, () => {
      socket.destroy(Object.assign(new Error('no connection in time'), {code: 'ETIMEDOUT'}))
    })
    const onError = (error: Error): void => {
      stop()
      callback(error, null)
    }
    socket.setNoDelay(true).once('error', onError)
    socket.once('secureConnect', () => {
      stop()
      socket.off('error', onError)
      callback(null, socket)
    })
  }
}
