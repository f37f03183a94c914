// SPDX-License-Identifier: Apache-2.0
/** Rules of network namespaces in memory, by the cookie that a path carries. */
import type {SidecarRulesState} from '../../src/lib/model/bypass.ts'
import type {SidecarRules} from '../../src/lib/ports.ts'

export class FakeRules implements SidecarRules {
  /** Cookies of namespaces where our rules stand in full. */
  readonly whole = new Set<string>()
  /** Where some of them stand. */
  readonly broken = new Set<string>()
  readonly redirections = new Map<string, SidecarRulesState['redirection']>()
  /** `put 7`, `look 7`, `remove 7`. */
  readonly calls: string[] = []
  failWith: Error | undefined
  /** Before a call does anything. */
  onCall: (what: string) => void | Promise<void> = () => undefined

  look(path: string): Promise<SidecarRulesState> {
    return this.#call('look', path, (cookie) => this.#stateOf(cookie))
  }

  put(path: string): Promise<SidecarRulesState> {
    return this.#call('put', path, (cookie) => {
      const {redirection} = this.#stateOf(cookie)
      if (redirection !== 'tproxy' && redirection !== 'nftables') {
        this.whole.add(cookie)
        this.broken.delete(cookie)
      }
      return this.#stateOf(cookie)
    })
  }

  remove(path: string): Promise<void> {
    return this.#call('remove', path, (cookie) => {
      this.whole.delete(cookie)
      this.broken.delete(cookie)
    })
  }

  async #call<T>(what: string, path: string, run: (cookie: string) => T): Promise<T> {
    const cookie = path.split('/')[2] ?? ''
    await this.onCall(`${what} ${cookie}`)
    this.calls.push(`${what} ${cookie}`)
    if (this.failWith !== undefined) throw this.failWith
    return run(cookie)
  }

  #stateOf(cookie: string): SidecarRulesState {
    const complete = this.whole.has(cookie) && !this.broken.has(cookie)
    const present = this.whole.has(cookie) || this.broken.has(cookie)
    return {redirection: this.redirections.get(cookie) ?? 'redirect', complete, present}
  }
}
