// SPDX-License-Identifier: Apache-2.0
/** oclif's help in our order: what it is and examples first, then flags, what few need last. */
import {CommandHelp, Help} from '@oclif/core'

/** Flags that nearly every command has stand behind its own. */
const GROUPS_LAST = ['DAEMON FLAGS', 'CLUSTER FLAGS', 'GLOBAL FLAGS']

class KmeshCommandHelp extends CommandHelp {
  /** All flags are listed below, so the usage line names the arguments only. */
  protected override defaultUsage(): string {
    const variadic = this.command.strict === false
    const args = Object.values(this.command.args ?? {}).filter((arg) => !arg.hidden)
    const words = args.map((arg) => {
      const name = `${arg.name.toUpperCase()}${variadic || arg.multiple ? '...' : ''}`
      return arg.required ? name : `[${name}]`
    })
    return [this.command.id, ...words, '[FLAGS]'].join(' ')
  }

  /** The summary stands above the usage already. */
  protected override description(): string | undefined {
    const {description} = this.command
    return description === undefined ? undefined : this.wrap(description)
  }

  protected override sections() {
    const sections = super.sections()
    const order = ['USAGE', 'DESCRIPTION', 'EXAMPLES', 'ARGUMENTS', 'FLAGS']
    const rank = ({header}: {readonly header: string}) =>
      order.includes(header) ? order.indexOf(header) : order.length
    return sections.toSorted((left, right) => rank(left) - rank(right))
  }

  protected override groupFlags(flags: Parameters<CommandHelp['groupFlags']>[0]) {
    const groups = super.groupFlags(flags)
    const rank = (name: string) => GROUPS_LAST.indexOf(`${name.toUpperCase()} FLAGS`)
    const sorted = Object.entries(groups.flagGroups).toSorted(([left], [right]) => rank(left) - rank(right))
    return {...groups, flagGroups: Object.fromEntries(sorted)}
  }
}

export class KmeshHelp extends Help {
  protected override CommandHelpClass = KmeshCommandHelp

  /** Every command on one page, none hidden behind its topic. */
  override async showRootHelp(): Promise<void> {
    this.log(this.formatRoot())
    this.log('')
    this.log(this.section('EXAMPLES', EXAMPLES))
    this.log('')
    this.log(this.formatCommands(this.sortedCommands))
    this.log('')
    this.log(this.section('EXIT STATUS', EXIT_CODES))
  }
}

const EXAMPLES = `$ kmeshctl status
$ kmeshctl enroll namespace shop
$ kmeshctl log set-level bpf=debug --for 10m --all-nodes
$ kmeshctl dump maps km_service --node n1 -o json
$ kmeshctl interop status -A
$ kmeshctl sandbox up`

const EXIT_CODES = `0    everything that was asked for was done
1    it failed: no cluster, no daemon, nothing worked
2    the command line is wrong
3    findings: a check failed
4    partial: some targets failed, others worked
5    --wait or --timeout ended before the goal was reached
6    not permitted (401, 403); the message names the missing rule
7    conflict: somebody else changed the object meanwhile
130  interrupted (SIGINT)      143  terminated (SIGTERM)`
