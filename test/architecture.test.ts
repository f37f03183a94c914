// SPDX-License-Identifier: Apache-2.0
// Goal: imports point one way, and the outside is reached in the wiring files only.
// Method: reads the import specifiers of every source file, static and dynamic.
import assert from 'node:assert/strict'
import {globSync, readFileSync} from 'node:fs'
import {dirname, join, relative} from 'node:path'
import {test} from 'node:test'

const root = join(import.meta.dirname, '..')

/** What a layer may import of ours, besides itself (design section 3). */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  commands: ['cli', 'ops', 'live', 'render', 'sandbox', 'model', 'errors'],
  cli: ['render', 'model', 'ports', 'errors'],
  ops: ['ports', 'model', 'errors'],
  agent: ['cni', 'ports', 'model', 'errors'],
  cni: ['ports', 'model', 'errors'],
  live: ['ports', 'model', 'errors'],
  sandbox: ['ports', 'model', 'errors'],
  render: ['model'],
  adapters: ['ports', 'model', 'errors'],
  ports: ['model', 'errors'],
  model: ['errors'],
  errors: [],
  entry: ['cli', 'ops', 'sandbox', 'model', 'errors'],
}

/** The only files that may name an adapter and reach the process, its environment, timers and the clock. */
const WIRING = [
  'src/lib/cli/base-command.ts',
  'src/lib/cli/wiring.ts',
  'src/lib/cli/completion.ts',
  'src/completion-values.ts',
  'src/lib/agent/main.ts',
  'src/lib/cni/plugin.ts',
  'src/lib/sandbox/main.ts',
  'src/lib/sandbox/client.ts',
  'src/lib/sandbox/where.ts',
  'src/lib/sandbox/enter.ts',
  'src/lib/sandbox/connect.ts',
  // Programs of their own, which run inside pods.
  'src/lib/sandbox/echo.ts',
  'src/lib/sandbox/echo-client.ts',
  'src/lib/sandbox/sidecar/main.ts',
  'src/kmeshctl.ts',
]

const OUTSIDE =
  /\bprocess\.(exit|env|argv|exitCode|on|once)\b|\bconsole\.|\bsetTimeout\(|\bsetInterval\(|\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/

function layerOf(file: string): string {
  const parts = file.split('/')
  if (parts[1] === 'commands') return 'commands'
  if (parts[1] !== 'lib') return 'entry'
  return (parts[2] ?? '').replace(/\.tsx?$/, '')
}

function importsOf(text: string): string[] {
  const found = text.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|\bimport\s+)['"]([^'"]+)['"]/g)
  return [...found].map((match) => match[1] ?? '')
}

const files = globSync('src/**/*.{ts,tsx}', {cwd: root})

test('there are sources to look at', () => {
  assert.ok(files.length > 5)
})

for (const file of files) {
  const text = readFileSync(join(root, file), 'utf8')
  const layer = layerOf(file)
  const isWiring = WIRING.includes(file)

  test(`${file} imports only what its layer may`, () => {
    for (const specifier of importsOf(text)) {
      if (!specifier.startsWith('.')) continue
      const target = relative(root, join(root, dirname(file), specifier))
      const other = layerOf(target)
      if (other === layer || (isWiring && other === 'adapters')) continue
      assert.ok(MAY_IMPORT[layer]?.includes(other), `${layer} must not import ${other} (${specifier})`)
    }
  })

  if (!isWiring && layer !== 'adapters') {
    test(`${file} leaves process, clock and timers to the wiring`, () => {
      const code = text.replace(/^\s*(\/\/|\*|\/\*).*$/gm, '')
      assert.doesNotMatch(code, OUTSIDE)
    })
  }
}
