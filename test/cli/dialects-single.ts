// SPDX-License-Identifier: Apache-2.0
/** Commands that ask one test daemon, by its URL. */
import {type CliResult, runCli} from '../fakes/cli.ts'
import {type Answer, type GoDaemon, type GoDaemonOptions, startDaemon} from '../fakes/go-daemon/server.ts'
import {checkDocument} from './document-schema.ts'

const started: GoDaemon[] = []
/** After each test. */
export async function closeDaemons(): Promise<void> {
  for (const daemon of started.splice(0)) await daemon.close()
}

export type Override = NonNullable<GoDaemonOptions['override']>
type Options = Partial<GoDaemonOptions>

export async function daemon(options: Options = {}): Promise<GoDaemon> {
  const one = await startDaemon({version: 'v1.2.0', mode: 'dual-engine', ...options})
  started.push(one)
  return one
}

export const cli = (target: GoDaemon, words: string): Promise<CliResult> =>
  runCli([...words.split(' '), '--daemon-url', target.url])

/** The same with -o json; the document fits its schema. */
export async function documentOf(target: GoDaemon, words: string) {
  const {code, stdout, stderr} = await cli(target, `${words} -o json`)
  const document = JSON.parse(stdout)
  checkDocument(document)
  // biome-ignore lint/suspicious/noExplicitAny: documents of several kinds
  return {code, stderr, document: document as any}
}

export const posts = ({requests}: GoDaemon): string[] => requests.filter((line) => line.startsWith('POST'))
/** Answers GET, or any method, of paths that hold the text. */
export const answering =
  (part: string, answer: Answer, methods: readonly string[] = ['GET', 'POST']): Override =>
  (method, path) =>
    path.includes(part) && methods.includes(method) ? answer : undefined
