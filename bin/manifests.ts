// SPDX-License-Identifier: Apache-2.0
/** Writes deploy/*.yaml from what `kmeshctl install` applies. A test holds them equal. */
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {manifestsOf} from '../src/lib/model/manifests.ts'
import {defaultSettings} from '../src/lib/model/manifests-settings.ts'
import {manifestsYaml} from '../src/lib/render/manifests.ts'

const root = join(import.meta.dirname, '..')
const HEAD =
  '# SPDX-License-Identifier: Apache-2.0\n# Made by bin/manifests.ts; edit src/lib/model/manifests*.ts.\n'

/** File name -> text. */
export function manifestFiles(): ReadonlyMap<string, string> {
  const {version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {version: string}
  const byFile = Map.groupBy(manifestsOf(defaultSettings(version)), ({file}) => file)
  return new Map([...byFile].map(([file, manifests]) => [file, `${HEAD}${manifestsYaml(manifests)}`]))
}

if (import.meta.main) {
  for (const [file, text] of manifestFiles()) writeFileSync(join(root, 'deploy', file), text)
}
