// SPDX-License-Identifier: Apache-2.0
/**
 * Script and style of the page of `interop check -o html`, as constants of a module, so that sources and bundle
 * run alike. Without --write: fails when the module is not what its sources build.
 */
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {build} from 'esbuild'

const root = join(import.meta.dirname, '..')
const folder = 'src/lib/render/html'
const file = join(root, folder, 'assets.generated.ts')

async function bundled(source: string): Promise<string> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [`${folder}/browser/${source}`],
    bundle: true,
    minify: true,
    write: false,
    format: 'iife',
    target: ['chrome120', 'firefox121', 'safari17'],
    charset: 'ascii',
    legalComments: 'none',
    logLevel: 'warning',
  })
  return (result.outputFiles[0]?.text ?? '').trim()
}

/** An HTML parser would end the element there. */
function requireInert(text: string): string {
  if (/<\/|<!--|<script/i.test(text)) throw new Error('script or style holds text that HTML would obey')
  return text
}

const [script, style] = await Promise.all(['main.ts', 'page.css'].map(bundled))
const module = `// SPDX-License-Identifier: Apache-2.0
// Made by bin/interop-page.ts --write from browser/.
export const PAGE_SCRIPT = ${JSON.stringify(requireInert(script ?? ''))}
export const PAGE_STYLE = ${JSON.stringify(requireInert(style ?? ''))}
`
if (process.argv.includes('--write')) writeFileSync(file, module)
else if (!existsSync(file) || readFileSync(file, 'utf8') !== module) {
  console.error('assets.generated.ts is not what browser/ builds: bin/with-node bin/interop-page.ts --write')
  process.exitCode = 1
}
