// SPDX-License-Identifier: Apache-2.0
/** Flags that several commands share; a command takes the groups that it needs. */
import {Flags} from '@oclif/core'
import {UsageError} from '../errors.ts'
import {badRequirement} from '../model/label-selector.ts'
import type {AllowedFailures} from '../model/report.ts'
import type {FormatName} from '../render/formats.ts'
import {parseDuration} from './duration.ts'

const GLOBAL = 'GLOBAL'
const CLUSTER = 'CLUSTER'
const DAEMON = 'DAEMON'

/** A duration such as `10m`, in milliseconds. */
export const durationFlag = Flags.custom<number>({
  helpValue: 'DURATION',
  parse: async (input, _context, flag) => parseDuration(input, `--${flag.name}`),
})

/** Text that has to say something: `-l "$UNSET"` must not mean everything. */
export const filledFlag = Flags.custom<string>({
  parse: async (input, _context, flag) => {
    if (input.trim() !== '') return input
    throw new UsageError(`--${flag.name} is empty`, {parameter: `--${flag.name}`})
  },
})

/** A typing error is named here, before anybody is asked: servers may answer it with everything or nothing. */
const labelSelectorFlag = Flags.custom<string>({
  parse: async (input, _context, flag) => {
    const parameter = `--${flag.name}`
    if (input.trim() === '') throw new UsageError(`${parameter} is empty`, {parameter})
    const bad = badRequirement(input)
    if (bad === undefined) return input
    throw new UsageError(`${parameter}: '${bad}' in '${input}' is no label requirement`, {
      parameter,
      hints: ["for example 'app=web,tier!=test', 'app in (web,api)', 'app', '!app'"],
    })
  },
})

/** `3` daemons or `5%` of them. */
export const allowPartialFlag = Flags.custom<AllowedFailures>({
  parse: async (input, _context, flag) => parseAllowed(input, `--${flag.name}`),
})

function parseAllowed(input: string, flag: string): AllowedFailures {
  const [, digits = '', percent] = /^(\d{1,6}(?:\.\d+)?)(%)?$/.exec(input) ?? []
  const number = Number(digits)
  const isGood = digits !== '' && (percent ? number <= 100 : Number.isInteger(number))
  if (isGood) return percent ? {percent: number} : {count: number}
  throw new UsageError(`${flag}: '${input}' is neither a number of daemons nor a percentage`, {
    parameter: flag,
    hints: [`for example ${flag} 3 or ${flag} 5%`],
  })
}

/** Of every command. */
export const globalFlags = {
  color: Flags.option({options: ['auto', 'always', 'never'] as const})({
    description: 'colour the output',
    helpGroup: GLOBAL,
  }),
  'no-color': Flags.boolean({description: 'same as --color=never', helpGroup: GLOBAL}),
  quiet: Flags.boolean({char: 'q', description: 'no messages but errors', helpGroup: GLOBAL}),
  verbose: Flags.boolean({char: 'v', description: 'say what is being done', helpGroup: GLOBAL}),
  debug: Flags.boolean({description: 'say everything, with stack traces', helpGroup: GLOBAL}),
}

/** `-o` with these formats, the first one being the default, and `--json`, `--no-headers`. */
export function outputFlags<const F extends readonly FormatName[]>(formats: F) {
  return {
    output: Flags.option({options: formats})({
      char: 'o',
      description: `output format (default: ${formats[0]})`,
      helpGroup: GLOBAL,
    }),
    json: Flags.boolean({description: 'same as -o json', helpGroup: GLOBAL}),
    'no-headers': Flags.boolean({description: 'tables without their first line', helpGroup: GLOBAL}),
  }
}

/** Which API server, as whom. */
export const kubeFlags = {
  kubeconfig: Flags.string({description: 'kubeconfig file', helpGroup: CLUSTER, helpValue: 'FILE'}),
  context: Flags.string({description: 'context of the kubeconfig', helpGroup: CLUSTER, helpValue: 'NAME'}),
  cluster: Flags.string({description: 'cluster of the kubeconfig', helpGroup: CLUSTER, helpValue: 'NAME'}),
  user: Flags.string({description: 'user of the kubeconfig', helpGroup: CLUSTER, helpValue: 'NAME'}),
  server: Flags.string({char: 's', description: 'API server', helpGroup: CLUSTER, helpValue: 'URL'}),
  'token-file': Flags.string({
    description: 'file with a bearer token (or $KMESHCTL_TOKEN)',
    helpGroup: CLUSTER,
    helpValue: 'FILE',
  }),
  'certificate-authority': Flags.string({
    description: 'file with the CA of the API server',
    helpGroup: CLUSTER,
    helpValue: 'FILE',
  }),
  'tls-server-name': Flags.string({
    description: "name in the API server's certificate",
    helpGroup: CLUSTER,
    helpValue: 'NAME',
  }),
  'insecure-skip-tls-verify': Flags.boolean({
    description: "do not check the API server's certificate",
    helpGroup: CLUSTER,
  }),
  as: Flags.string({description: 'act as this user', helpGroup: CLUSTER, helpValue: 'USER'}),
  'as-group': Flags.string({
    description: 'act as a member of this group (repeatable)',
    helpGroup: CLUSTER,
    helpValue: 'GROUP',
    multiple: true,
    multipleNonGreedy: true,
  }),
  'as-uid': Flags.string({description: 'act as this uid', helpGroup: CLUSTER, helpValue: 'UID'}),
  'request-timeout': durationFlag({
    description: 'limit of one request, 0 is none',
    default: 10_000,
    defaultHelp: async () => '10s',
    helpGroup: CLUSTER,
  }),
}

export const namespaceFlag = {
  namespace: filledFlag({
    char: 'n',
    description: 'namespace (default: that of the context)',
    helpGroup: CLUSTER,
    helpValue: 'NAME',
  }),
}

export const allNamespacesFlag = {
  'all-namespaces': Flags.boolean({
    char: 'A',
    description: 'every namespace',
    helpGroup: CLUSTER,
    exclusive: ['namespace'],
  }),
}

export const selectorFlag = {
  selector: labelSelectorFlag({
    char: 'l',
    description: 'label selector, as kubectl takes it',
    helpGroup: CLUSTER,
    helpValue: 'SELECTOR',
  }),
}

/** Where the daemons of the mesh are. */
export const meshFlags = {
  'mesh-namespace': filledFlag({
    description: "namespace of Kmesh's daemons",
    default: 'kmesh-system',
    env: 'KMESHCTL_MESH_NAMESPACE',
    helpGroup: DAEMON,
    helpValue: 'NAME',
  }),
  'daemon-selector': labelSelectorFlag({
    description: 'label selector of the daemons',
    default: 'app=kmesh',
    env: 'KMESHCTL_DAEMON_SELECTOR',
    helpGroup: DAEMON,
    helpValue: 'SELECTOR',
  }),
  'admin-port': Flags.integer({
    description: "port of the daemons' admin API",
    default: 15_200,
    min: 1,
    max: 65_535,
    env: 'KMESHCTL_ADMIN_PORT',
    helpGroup: DAEMON,
  }),
  concurrency: Flags.integer({
    description:
      'daemons that are asked at the same time (default: 32, 48 while the API server does well, up to 256 while many of them hang; fewer when it is busy)',
    min: 1,
    max: 256,
    helpGroup: DAEMON,
  }),
}

/** Which daemons. */
export const targetFlags = {
  'daemon-url': Flags.string({
    description: 'ask this one daemon, without Kubernetes',
    helpGroup: DAEMON,
    helpValue: 'URL',
    exclusive: ['node', 'node-selector', 'all-nodes'],
    parse: async (input) => parseDaemonUrl(input),
  }),
  node: Flags.string({
    description: 'daemon of this node (repeatable, or a comma list)',
    helpGroup: DAEMON,
    helpValue: 'NODE',
    multiple: true,
    multipleNonGreedy: true,
    delimiter: ',',
  }),
  'node-selector': labelSelectorFlag({
    description: 'daemons of the nodes with these labels',
    helpGroup: DAEMON,
    helpValue: 'SELECTOR',
    exclusive: ['node', 'all-nodes'],
  }),
  'all-nodes': Flags.boolean({description: 'daemons of all nodes', helpGroup: DAEMON, exclusive: ['node']}),
  'max-nodes': Flags.integer({
    description: 'refuse to ask more daemons than this',
    min: 1,
    helpGroup: DAEMON,
    helpValue: 'N',
  }),
  sample: Flags.integer({
    description: 'ask only so many of them, evenly spread',
    min: 1,
    helpGroup: DAEMON,
    helpValue: 'N',
  }),
  'allow-partial': allowPartialFlag({
    description: 'exit 0 when at most so many daemons failed and one worked',
    helpGroup: DAEMON,
    helpValue: 'N|PERCENT%',
  }),
}

export const yesFlag = {
  yes: Flags.boolean({char: 'y', description: 'answer every question with yes', helpGroup: GLOBAL}),
}

function parseDaemonUrl(input: string): string {
  const url = URL.canParse(input) ? new URL(input) : undefined
  if (
    url?.protocol !== 'http:' ||
    url.username !== '' ||
    url.password !== '' ||
    url.search !== '' ||
    url.pathname !== '/'
  ) {
    throw new UsageError(`--daemon-url: '${input}' is not a plain http URL`, {
      parameter: '--daemon-url',
      hints: ['for example --daemon-url http://127.0.0.1:15200'],
    })
  }
  return url.origin
}
