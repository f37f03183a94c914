// SPDX-License-Identifier: Apache-2.0
/** Manifests as files: YAML documents with their comments, or one List in JSON. */
import type {Manifest} from '../model/manifests.ts'
import {toYaml} from './yaml.ts'

/** Begins with `---`, so that texts can be joined. */
export function manifestsYaml(manifests: readonly Manifest[]): string {
  return manifests.map(({comment, object}) => `---\n${commentLines(comment)}${toYaml(object)}`).join('')
}

export function manifestsJson(manifests: readonly Manifest[]): string {
  const items = manifests.map(({object}) => object)
  return `${JSON.stringify({apiVersion: 'v1', kind: 'List', items}, null, 2)}\n`
}

function commentLines(comment: string): string {
  if (comment === '') return ''
  return comment
    .split('\n')
    .map((line) => `# ${line}\n`)
    .join('')
}
