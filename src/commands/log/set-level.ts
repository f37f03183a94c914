// SPDX-License-Identifier: Apache-2.0
import {Args} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {durationFlag, kubeFlags, meshFlags, outputFlags, targetFlags} from '../../lib/cli/flags.ts'
import {UsageError} from '../../lib/errors.ts'
import {parseLevelChanges} from '../../lib/model/log-level.ts'
import {setLevels} from '../../lib/ops/log.ts'
import {DOCUMENT_FORMATS} from '../../lib/render/formats.ts'
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
    for: durationFlag({description: 'the daemons put the old levels back after this time'}),
    ...outputFlags(DOCUMENT_FORMATS),
    ...targetFlags,
    ...meshFlags,
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    const changes = parseLevelChanges(this.words)
    const ttlSeconds = this.ttlSeconds()
    this.requireTargets()
    await this.present(await setLevels(await this.daemonAccess(), changes, ttlSeconds), levelChangeView)
  }

  private ttlSeconds(): number | undefined {
    const milliseconds = this.flags.for
    if (milliseconds === undefined) return undefined
    if (milliseconds < 1000) throw new UsageError('--for must be at least 1s', {parameter: '--for'})
    return Math.ceil(milliseconds / 1000)
  }
}
