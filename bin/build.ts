// SPDX-License-Identifier: Apache-2.0
/**
 * Bundles the programs into dist/: one entry a command, shared chunks, so that a
 * command loads what it uses. Then writes oclif.manifest.json and the root help,
 * which the entry prints without loading oclif.
 */
import {execFileSync} from 'node:child_process'
import {globSync, rmSync, writeFileSync} from 'node:fs'
import {join, relative} from 'node:path'
import {Plugin} from '@oclif/core'
import {build} from 'esbuild'

const root = join(import.meta.dirname, '..')
const dist = join(root, 'dist')

/** CommonJS packages inside an ES module bundle look for these. */
const BANNER = `import {createRequire as kmCreateRequire} from 'node:module';import {dirname as kmDirname} from 'node:path';import {fileURLToPath as kmFileURLToPath} from 'node:url';const require=kmCreateRequire(import.meta.url);const __filename=kmFileURLToPath(import.meta.url);const __dirname=kmDirname(__filename);`

function entryPoints(): Record<string, string> {
  const entries: Record<string, string> = {
    kmeshctl: 'src/kmeshctl.ts',
    'kmesh-daemon': 'src/lib/agent/main.ts',
    sandbox: 'src/lib/sandbox/main.ts',
    echo: 'src/lib/sandbox/echo.ts',
  }
  for (const file of globSync('src/commands/**/*.ts', {cwd: root})) {
    entries[relative('src', file).replace(/\.ts$/, '')] = file
  }
  return entries
}

async function bundle(): Promise<void> {
  rmSync(dist, {recursive: true, force: true})
  await build({
    absWorkingDir: root,
    entryPoints: entryPoints(),
    outdir: dist,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.19',
    minify: true,
    keepNames: true,
    sourcemap: 'external',
    chunkNames: 'chunks/[name]-[hash]',
    define: {'process.env.NODE_ENV': '"production"'},
    // koffi loads a .node file of its own; the others are optional loaders that the bundled packages mention.
    external: ['koffi', 'react-devtools-core', 'typescript', 'ts-node', 'tsx'],
    banner: {js: BANNER},
    logLevel: 'warning',
  })
}

async function writeManifest(): Promise<void> {
  const plugin = new Plugin({root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true})
  await plugin.load()
  writeFileSync(join(root, 'oclif.manifest.json'), `${JSON.stringify(plugin.manifest, null, 2)}\n`)
}

/** Rendered by the real command, so it cannot differ from what `help` prints. */
function writeRootHelp(): void {
  const help = execFileSync(process.execPath, [join(dist, 'kmeshctl.js'), 'help'], {
    env: {...process.env, NO_COLOR: '1', COLUMNS: '100'},
    encoding: 'utf8',
  })
  writeFileSync(join(dist, 'help.txt'), help)
}

await bundle()
await writeManifest()
writeRootHelp()
