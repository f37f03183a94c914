// SPDX-License-Identifier: Apache-2.0
/** Injection into the text of manifests: what it does not touch stays as it was written, comments too. */
import {
  type Document,
  isMap,
  isSeq,
  parseAllDocuments,
  type ToStringOptions,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import {UsageError} from '../../errors.ts'
import {type InjectOptions, injectionOf, type PodTemplate, refusal} from './inject.ts'

/** Where a kind has its pod. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  Deployment: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  Job: ['spec', 'template'],
}

export interface InjectedText {
  readonly text: string
  /** `Deployment shop/server` -> why it was left as it is; undefined where it has a sidecar now. */
  readonly outcomes: readonly {readonly name: string; readonly refusal: string | undefined}[]
}

/**
 * @param file for messages
 * @throws UsageError for what is no YAML
 */
export function injectText(text: string, file: string, options: InjectOptions): InjectedText {
  const outcomes: InjectedText['outcomes'][number][] = []
  const documents = parseAllDocuments(text)
  if ('empty' in documents) return {text, outcomes}
  for (const document of documents) {
    const [problem] = document.errors
    if (problem !== undefined) throw new UsageError(`${file}: ${problem.message}`, {parameter: 'filename'})
    for (const path of objectPaths(document, [])) injectObject(document, path, options, outcomes)
  }
  const injected = outcomes.some((outcome) => outcome.refusal === undefined)
  return {
    text: injected ? documents.map((document) => document.toString(styleOf(text))).join('') : text,
    outcomes,
  }
}

/** White space as the text has it. */
function styleOf(text: string): ToStringOptions {
  return {
    lineWidth: 0,
    flowCollectionPadding: !/\{\S/.test(text),
    indentSeq: !/^( *)[\w.-]+:\n\1- /m.test(text),
  }
}

/** Manifests are read by people: nothing is written as a reference to something else. */
const WHOLE = {aliasDuplicateObjects: false} as const

type Path = readonly (string | number)[]

/** The object itself, or those of a list. */
function objectPaths(document: Document, path: Path): Path[] {
  if (document.getIn([...path, 'kind']) !== 'List') return [path]
  const items = document.getIn([...path, 'items'])
  return isSeq(items)
    ? items.items.flatMap((_, index) => objectPaths(document, [...path, 'items', index]))
    : []
}

function injectObject(
  document: Document,
  path: Path,
  options: InjectOptions,
  outcomes: {name: string; refusal: string | undefined}[],
): void {
  const kind = String(document.getIn([...path, 'kind']))
  const below = Object.hasOwn(TEMPLATES, kind) ? TEMPLATES[kind] : undefined
  if (below === undefined) return
  const at = [...path, ...below]
  const node = at.length === 0 ? document.contents : document.getIn(at)
  if (!isMap(node)) return
  const template = node.toJS(document) as PodTemplate
  const read = (name: string): string => String(document.getIn([...path, 'metadata', name]) ?? '')
  const why = refusal(template, read('namespace'))
  outcomes.push({
    name: `${kind} ${[read('namespace'), read('name')].filter(Boolean).join('/')}`,
    refusal: why,
  })
  if (why === undefined) change(document, at, template, injectionOf(template, read('name'), options))
}

function change(
  document: Document,
  at: Path,
  template: PodTemplate,
  injection: ReturnType<typeof injectionOf>,
): void {
  const put = (path: Path, value: unknown): void => document.setIn([...at, ...path], value)
  for (const key of ['metadata', 'labels', 'annotations'] as const) {
    const path = key === 'metadata' ? [key] : ['metadata', key]
    // `labels:` without a value is null, which nothing can be put into.
    if (!isMap(document.getIn([...at, ...path]))) put(path, document.createNode({}))
  }
  for (const [key, value] of Object.entries(injection.labels)) put(['metadata', 'labels', key], value)
  for (const [key, value] of Object.entries(injection.annotations)) {
    if (key.startsWith('prometheus.io/') && template.metadata?.annotations?.[key] !== undefined) continue
    put(['metadata', 'annotations', key], value)
  }
  extend(document, [...at, 'spec'], 'initContainers', injection.initContainers, 'front')
  extend(document, [...at, 'spec'], 'containers', injection.containers, 'back')
  for (const {index, name, httpGet} of injection.probes) {
    const probe = [...at, 'spec', 'containers', index, name]
    document.deleteIn([...probe, 'tcpSocket'])
    document.setIn([...probe, 'httpGet'], document.createNode(httpGet))
  }
}

function extend(
  document: Document,
  spec: Path,
  key: string,
  added: readonly object[],
  end: 'front' | 'back',
): void {
  if (added.length === 0) return
  const nodes = added.map((one) => document.createNode(one, WHOLE) as YAMLMap)
  const list = document.getIn([...spec, key])
  if (!isSeq(list)) document.setIn([...spec, key], document.createNode(added, WHOLE))
  else if (end === 'front') (list as YAMLSeq).items.unshift(...nodes)
  else (list as YAMLSeq).items.push(...nodes)
}
