// SPDX-License-Identifier: Apache-2.0
import {readFileSync} from 'node:fs'
import {Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {messageOf, UsageError} from '../../lib/errors.ts'
import {injectText} from '../../lib/sandbox/sidecar/inject-yaml.ts'

const STDIN = 0

export default class SandboxInject extends BaseCommand<typeof SandboxInject> {
  static override summary = "Add Istio's sidecar to the pods of manifests, as Istio's webhook does"
  static override description =
    'Reads YAML and prints it with a sidecar in each Pod and workload; the sandbox runs a stand-in for its image. Pods with hostNetwork, a sidecar or `sidecar.istio.io/inject: "false"` stay as they are, and so does everything else of the text.'
  static override examples = [
    '<%= config.bin %> sandbox inject -f app.yaml | kubectl apply -f -',
    'kubectl create deployment x --image sandbox/echo --dry-run=client -o yaml | <%= config.bin %> sandbox inject --native',
  ]
  static override flags = {
    filename: Flags.string({
      char: 'f',
      description: 'file to read (default: -, standard input)',
      helpValue: 'FILE',
      default: '-',
    }),
    native: Flags.boolean({description: 'the proxy as an init container that is always restarted'}),
    'dual-stack': Flags.boolean({description: 'redirect IPv6 beside IPv4'}),
    tproxy: Flags.boolean({
      description: 'TPROXY in place of REDIRECT: the rules only, the stand-in takes no such connection',
    }),
    iptables: Flags.option({options: ['nft', 'legacy', 'native'] as const})({
      description: "backend of the rules; native: nftables' own",
      default: 'nft',
    }),
    revision: Flags.string({description: 'revision to write down', helpValue: 'NAME', default: 'default'}),
  }

  protected async execute(): Promise<void> {
    const {filename, native, tproxy, iptables, revision, 'dual-stack': dualStack} = this.flags
    const options = {native, tproxy, iptables, revision, dualStack}
    const {text, outcomes} = injectText(read(filename), filename, options)
    for (const {name, refusal} of outcomes) {
      if (refusal !== undefined) this.logger.warn(`${name} stays as it is: ${refusal}`)
    }
    process.stdout.write(text)
  }
}

function read(file: string): string {
  try {
    return readFileSync(file === '-' ? STDIN : file, 'utf8')
  } catch (error) {
    throw new UsageError(`-f: cannot read ${file}: ${messageOf(error)}`, {
      parameter: 'filename',
      cause: error,
    })
  }
}
