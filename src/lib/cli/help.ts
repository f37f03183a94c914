// SPDX-License-Identifier: Apache-2.0
import {Help} from '@oclif/core'

/** oclif's help, with the table of exit statuses under the root help. */
export class KmeshHelp extends Help {
  override async showRootHelp(): Promise<void> {
    await super.showRootHelp()
    this.log(EXIT_CODES)
  }
}

const EXIT_CODES = `EXIT STATUS
  0    everything that was asked for was done
  1    it failed: no cluster, no daemon, nothing worked
  2    the command line is wrong
  3    findings: a check failed
  4    partial: some targets failed, others worked
  5    --wait or --timeout ended before the goal was reached
  6    not permitted (401, 403); the message names the missing rule
  7    conflict: somebody else changed the object meanwhile
  130  interrupted (SIGINT)      143  terminated (SIGTERM)`
