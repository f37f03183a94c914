// SPDX-License-Identifier: Apache-2.0
import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {durationFlag, kubeFlags, meshFlags, outputFlags, targetFlags} from '../../lib/cli/flags.ts'
import {UsageError} from '../../lib/errors.ts'
import {parseLevelChanges} from '../../lib/model/log-level.ts'
import {reportErrorOf} from '../../lib/model/report.ts'
import type {DaemonAccess} from '../../lib/ops/access.ts'
import {setLevels} from '../../lib/ops/log.ts'
import {createKeeper, type HeldLevel, revertLevels} from '../../lib/ops/log-lease.ts'
import {DOCUMENT_FORMATS} from '../../lib/render/formats.ts'
import {count} from '../../lib/render/text.ts'
import {levelChangeView} from '../../lib/render/views-log.ts'

export default class LogSetLevel extends BaseCommand<typeof LogSetLevel> {
  static override summary = 'Set log levels of daemons and their BPF programs while they run'
  static override description =
    "A bare LEVEL sets the logger 'default'; the BPF programs are set by name, as bpf=LEVEL. Each level is read back after it was written."
  static override examples = [
    '<%= config.bin %> log set-level debug --node worker-1',
    '<%= config.bin %> log set-level bpf=debug --for 10m --all-nodes',
  ]
  static override strict = false
  static override args = {
    level: Args.string({required: true, description: 'LEVEL or LOGGER=LEVEL, several are allowed'}),
  }
  static override flags = {
    for: durationFlag({
      description: 'put the old levels back after this time; kmeshctl stays for daemons that cannot do it',
    }),
    'revert-to': Flags.string({
      description: "with --for: level of 'bpf' to go back to where a daemon does not tell it (v0.4.0)",
      helpValue: 'LEVEL',
    }),
    ...outputFlags(DOCUMENT_FORMATS),
    ...targetFlags,
    ...meshFlags,
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    const changes = parseLevelChanges(this.words)
    const ttlSeconds = this.ttlSeconds()
    const revertTo = this.revertTo()
    this.requireTargets()
    const access = await this.daemonAccess()
    const leases = await this.leases()
    const endMs = this.clock.nowMs() + (ttlSeconds ?? 0) * 1000
    const keeper = createKeeper(access, leases, new Date(endMs).toISOString())
    try {
      const report = await setLevels(access, changes, {ttlSeconds, revertTo, keeper})
      await this.present(report, levelChangeView)
      if (keeper.held.length > 0) await this.stay(keeper.held.length, endMs)
    } finally {
      if (keeper.held.length > 0) await this.putBack(access, leases, keeper.held)
    }
  }

  /** Until the time has passed, or a signal came. */
  private async stay(levels: number, endMs: number): Promise<void> {
    const until = new Date(endMs).toISOString()
    this.say(`kmeshctl stays until ${until} to put ${count(levels, 'level')} back; Ctrl-C does it now`)
    await this.clock.sleep(Math.max(0, endMs - this.clock.nowMs()), this.signal).catch(() => undefined)
  }

  private async putBack(
    access: DaemonAccess,
    leases: Awaited<ReturnType<LogSetLevel['leases']>>,
    held: readonly HeldLevel[],
  ): Promise<void> {
    const {lines, errors, warnings} = await revertLevels(access, leases, held)
    for (const line of lines) this.say(line)
    const interrupted = this.signal.aborted ? [reportErrorOf(this.signal.reason)] : []
    if (errors.length + warnings.length + interrupted.length === 0) return
    const ok = held.length - errors.length
    const summary = {requested: held.length, ok, failed: errors.length, skipped: 0}
    this.finish({summary, errors: [...errors, ...interrupted], warnings})
  }

  private revertTo(): string | undefined {
    const level = this.flags['revert-to']
    if (level === undefined) return undefined
    if (this.flags.for === undefined)
      throw new UsageError('--revert-to goes with --for', {parameter: '--revert-to'})
    return parseLevelChanges([`bpf=${level}`])[0]?.level
  }

  private ttlSeconds(): number | undefined {
    const milliseconds = this.flags.for
    if (milliseconds === undefined) return undefined
    if (milliseconds < 1000) throw new UsageError('--for must be at least 1s', {parameter: '--for'})
    return Math.ceil(milliseconds / 1000)
  }
}
