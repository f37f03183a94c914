// SPDX-License-Identifier: Apache-2.0
/** Bodies of lists: read as they come, in protobuf where the server has it, and the next page asked for meanwhile. */
import {setImmediate as turn} from 'node:timers/promises'
import type {KubeList, KubeObject} from '../model/kube.ts'
import {PROTOBUF} from '../model/protobuf-bytes.ts'
import type {FieldTree, KubeListOptions, ResourcePath} from '../ports.ts'
import {jsonCutter} from './json-cut.ts'
import {checkList} from './kube-answers.ts'
import {parseJson} from './kube-bodies.ts'

const JSON_TYPE = 'application/json'
const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json'

type Project = (object: KubeObject) => KubeObject

/** How the pages of one list are asked for and read. */
export interface PageFormat {
  readonly accept: string
  /** Token of the next page, from the bytes of this one; undefined: none, or it is found only when the page is read. */
  continues(bytes: Buffer, contentType: string): string | undefined
  /** The list, its items projected; the bytes may be overwritten. @throws Error for what is no list of this format */
  read(bytes: Buffer, contentType: string): KubeList<KubeObject>
}

/** Long lists of which little is used come as protobuf: half the bytes, and what nobody asks for is passed over. */
export async function pageFormat(path: ResourcePath, options: KubeListOptions): Promise<PageFormat> {
  const {fields, metadataOnly, project = (object) => object} = options
  const json = jsonPages(fields, project, metadataOnly ? METADATA_LIST : JSON_TYPE)
  if (fields === undefined || metadataOnly) return json
  const {listReader} = await import('./kube-protobuf.ts')
  const reader = listReader(path.group, path.resource, fields, project)
  if (reader === undefined) return json
  return {
    accept: `${PROTOBUF},${JSON_TYPE}`,
    continues: (bytes, type) => (type === PROTOBUF ? reader.continues(bytes) : json.continues(bytes, type)),
    read: (bytes, type) => (type === PROTOBUF ? checkList(reader.list(bytes)) : json.read(bytes, type)),
  }
}

/** Where a list in JSON says how it goes on: API servers write it in front of the items. */
const HEAD_BYTES = 2048
const CONTINUES = /^\{[^{}]*"metadata":\{[^{}]*"continue":"([^"\\]+)"/

function jsonPages(fields: FieldTree | undefined, project: Project, accept: string): PageFormat {
  const cut = fields === undefined ? undefined : jsonCutter({metadata: true, items: fields})
  return {
    accept,
    continues: (bytes) => CONTINUES.exec(bytes.toString('latin1', 0, HEAD_BYTES))?.[1],
    read: (bytes) => {
      const {metadata, items} = checkList<KubeObject>(parseJson(cut === undefined ? bytes : cut(bytes)))
      return {metadata, items: items.map(project)}
    },
  }
}

/**
 * Asks for the next page before this one is read, so that the server makes it meanwhile.
 *
 * @param from - its continue token
 * @param ahead - by continue token; what nobody fetches from it failed or was another list's, and is let go
 */
export async function askAhead(
  from: string | undefined,
  ask: (from: string) => Promise<unknown>,
  ahead: Map<string, Promise<unknown>>,
): Promise<void> {
  if (from === undefined || ahead.has(from)) return
  const page = ask(from)
  // Whoever waits for the page is told; here nobody may.
  page.catch(() => undefined)
  ahead.set(from, page)
  // It goes out with the next turn of the loop, and reading keeps that waiting.
  await turn()
}
