// SPDX-License-Identifier: Apache-2.0
/**
 * Bundles the programs into dist/: one entry a command, shared chunks, so that a
 * command loads what it uses. Then writes oclif.manifest.json and the root help,
 * which the entry prints without loading oclif. All of it is made aside and put
 * in place at the end, so that a command that runs meanwhile finds whole files.
 *
 * build.ts [--out FOLDER] [--commands GLOB] [PROGRAM...]: other place than this
 * repository (below its node_modules, so that packages are found), fewer commands
 * and programs.
 */
import {execFileSync} from 'node:child_process'
import {copyFileSync, existsSync, globSync, mkdirSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import {join, relative} from 'node:path'
import {parseArgs} from 'node:util'
import {Plugin} from '@oclif/core'
import {build} from 'esbuild'

const root = join(import.meta.dirname, '..')
const {values, positionals: wanted} = parseArgs({
  options: {out: {type: 'string'}, commands: {type: 'string', default: 'src/commands/**/*.ts'}},
  allowPositionals: true,
})
const out = values.out ?? root

/** Below node_modules: packages that are not bundled are found from there, and it is never committed. */
const stage = join(root, 'node_modules', '.cache', `kmeshctl-build-${process.pid}`)

/** CommonJS packages inside an ES module bundle look for these. */
const BANNER = `import {createRequire as kmCreateRequire} from 'node:module';import {dirname as kmDirname} from 'node:path';import {fileURLToPath as kmFileURLToPath} from 'node:url';const require=kmCreateRequire(import.meta.url);const __filename=kmFileURLToPath(import.meta.url);const __dirname=kmDirname(__filename);`

const PROGRAMS: Readonly<Record<string, string>> = {
  kmeshctl: 'src/kmeshctl.ts',
  'kmesh-daemon': 'src/lib/agent/main.ts',
  sandbox: 'src/lib/sandbox/main.ts',
  echo: 'src/lib/sandbox/echo.ts',
}

function entryPoints(): Record<string, string> {
  const entries: Record<string, string> = {}
  for (const [name, file] of Object.entries(PROGRAMS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue
    if (existsSync(join(root, file))) entries[name] = file
    else process.stderr.write(`build: ${file} is not there, no ${name}\n`)
  }
  for (const file of globSync(values.commands, {cwd: root})) {
    entries[relative('src', file).replace(/\.ts$/, '')] = file
  }
  return entries
}

async function bundle(): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: entryPoints(),
    outdir: join(stage, 'dist'),
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
  const plugin = new Plugin({root: stage, type: 'core', ignoreManifest: true, errorOnManifestCreate: true})
  await plugin.load()
  writeFileSync(join(stage, 'oclif.manifest.json'), `${JSON.stringify(plugin.manifest, null, 2)}\n`)
}

/** Rendered by the real command, so it cannot differ from what `help` prints. */
function writeRootHelp(): void {
  const help = execFileSync(process.execPath, [join(stage, 'dist', 'kmeshctl.js'), 'help'], {
    env: {...process.env, NO_COLOR: '1', OCLIF_COLUMNS: '100', NODE_DISABLE_COMPILE_CACHE: '1'},
    encoding: 'utf8',
  })
  writeFileSync(join(stage, 'dist', 'help.txt'), help)
}

/** Two renames: nobody sees a dist/ that is half there. */
function putInPlace(): void {
  mkdirSync(out, {recursive: true})
  if (existsSync(join(out, 'dist'))) renameSync(join(out, 'dist'), join(stage, 'old'))
  renameSync(join(stage, 'dist'), join(out, 'dist'))
  renameSync(join(stage, 'oclif.manifest.json'), join(out, 'oclif.manifest.json'))
  if (out !== root) copyFileSync(join(root, 'package.json'), join(out, 'package.json'))
}

try {
  mkdirSync(stage, {recursive: true})
  copyFileSync(join(root, 'package.json'), join(stage, 'package.json'))
  await bundle()
  await writeManifest()
  writeRootHelp()
  putInPlace()
} finally {
  rmSync(stage, {recursive: true, force: true})
}
