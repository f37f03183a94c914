// SPDX-License-Identifier: Apache-2.0
import {Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {kubeFlags, meshFlags, outputFlags, targetFlags} from '../lib/cli/flags.ts'
import {readVersions} from '../lib/ops/version.ts'
import {DOCUMENT_FORMATS} from '../lib/render/formats.ts'
import {versionView} from '../lib/render/views-version.ts'

export default class Version extends BaseCommand<typeof Version> {
  static override summary = 'Show the version of kmeshctl and of the daemons'
  static override examples = ['<%= config.bin %> version', '<%= config.bin %> version --client -o json']
  static override flags = {
    client: Flags.boolean({description: 'only kmeshctl itself; asks no cluster'}),
    ...outputFlags(DOCUMENT_FORMATS),
    ...targetFlags,
    ...meshFlags,
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    const client = {version: this.config.version, platform: `${this.config.platform}/${this.config.arch}`}
    const access = this.flags.client ? undefined : await this.daemonAccess()
    await this.present(await readVersions(client, access), versionView)
  }
}
