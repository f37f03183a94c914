// SPDX-License-Identifier: Apache-2.0
// Lets tests import .tsx: Node strips types by itself, but does not know JSX.
import {readFileSync} from 'node:fs'
import {registerHooks} from 'node:module'
import {fileURLToPath} from 'node:url'

registerHooks({
  load(url, context, nextLoad) {
    if (!url.endsWith('.tsx')) return nextLoad(url, context)
    const {transformSync} = process.getBuiltinModule('module').createRequire(import.meta.url)('esbuild')
    const file = fileURLToPath(url)
    const {code} = transformSync(readFileSync(file, 'utf8'), {
      loader: 'tsx',
      jsx: 'automatic',
      format: 'esm',
      sourcefile: file,
    })
    return {format: 'module', source: code, shortCircuit: true}
  },
})
