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
import {execFile} from 'node:child_process'
import {copyFileSync, existsSync, globSync, mkdirSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import {isBuiltin} from 'node:module'
import {join, relative} from 'node:path'
import {parseArgs, promisify} from 'node:util'
import {Plugin} from '@oclif/core'
import {build, type Plugin as EsbuildPlugin} from 'esbuild'

const root = join(import.meta.dirname, '..')
const {values, positionals: wanted} = parseArgs({
  options: {out: {type: 'string'}, commands: {type: 'string', default: 'src/commands/**/*.ts'}},
  allowPositionals: true,
})
const out = values.out ?? root

/** Below node_modules: packages that are not bundled are found from there, and it is never committed. */
const stage = join(root, 'node_modules', '.cache', `kmeshctl-build-${process.pid}`)

/** CommonJS packages inside an ES module bundle look for these. */
const BANNER = `const require=process.getBuiltinModule('node:module').createRequire(import.meta.url),__filename=import.meta.filename,__dirname=import.meta.dirname;`

const PROGRAMS: Readonly<Record<string, string>> = {
  kmeshctl: 'src/kmeshctl.ts',
  'kmesh-daemon': 'src/lib/agent/main.ts',
  sandbox: 'src/lib/sandbox/main.ts',
  echo: 'src/lib/sandbox/echo.ts',
  sidecar: 'src/lib/sandbox/sidecar/main.ts',
}

/** One file without chunks: the agent copies it to where the runtime looks for plugins. */
const PLUGIN = {name: 'kmesh-cni', file: 'src/lib/cni/plugin.ts'}

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

/**
 * `import` of a built-in module makes Node read every export of it, lazy ones too: `node:http` alone then loads
 * an HTTP client of 40 ms. `require` does not.
 */
const requireBuiltins: EsbuildPlugin = {
  name: 'require-builtins',
  setup: ({onResolve, onLoad}) => {
    onResolve({filter: /^(node:)?[a-z_/]+[0-9]?$/}, ({path, kind}) => {
      // `await import()` of such a module would have no named exports, only `default`.
      if (!isBuiltin(path) || kind === 'require-call' || kind === 'dynamic-import') return undefined
      return {path: path.replace(/^node:/, ''), namespace: 'builtin'}
    })
    onLoad({filter: /.*/, namespace: 'builtin'}, ({path}) => ({
      contents: `module.exports = require('node:${path}')`,
    }))
  },
}

/** Only what is used of client-node is bundled: its index names every API, a tar reader and an OpenID client. */
const shakeClientNode: EsbuildPlugin = {
  name: 'shake-client-node',
  setup: ({onResolve, resolve}) => {
    onResolve({filter: /./}, async ({path, importer, resolveDir, kind, pluginData}) => {
      const isOurs = path === '@kubernetes/client-node' || importer.includes('@kubernetes/client-node/')
      if (pluginData === 'resolved' || !isOurs || isBuiltin(path)) return undefined
      const resolved = await resolve(path, {importer, resolveDir, kind, pluginData: 'resolved'})
      return {...resolved, sideEffects: false}
    })
  },
}

/** The HTTP/1.1 half of undici: its index also loads fetch, mocks, caches and cookies. */
const UNDICI = `
const Dispatcher = require('undici/lib/dispatcher/dispatcher')
Object.assign(Dispatcher.prototype, require('undici/lib/api'))
module.exports = {
  Dispatcher,
  Agent: require('undici/lib/dispatcher/agent'),
  Client: require('undici/lib/dispatcher/client'),
  ProxyAgent: require('undici/lib/dispatcher/proxy-agent'),
  get fetch() { return globalThis.fetch },
}`

const slimUndici: EsbuildPlugin = {
  name: 'slim-undici',
  setup: ({onResolve, onLoad}) => {
    onResolve({filter: /^undici$/}, () => ({path: 'undici', namespace: 'slim'}))
    onLoad({filter: /.*/, namespace: 'slim'}, () => ({contents: UNDICI, resolveDir: root}))
  },
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
    sourcemap: 'external',
    chunkNames: 'chunks/[name]-[hash]',
    define: {'process.env.NODE_ENV': '"production"'},
    // koffi loads a .node file of its own; the others are optional loaders that the bundled packages mention.
    external: ['koffi', 'react-devtools-core', 'typescript', 'ts-node', 'tsx'],
    banner: {js: BANNER},
    plugins: [requireBuiltins, slimUndici, shakeClientNode],
    logLevel: 'warning',
  })
}

async function bundlePlugin(): Promise<void> {
  if (wanted.length > 0 && !wanted.includes(PLUGIN.name)) return
  await build({
    absWorkingDir: root,
    entryPoints: [PLUGIN.file],
    outfile: join(stage, 'dist', `${PLUGIN.name}.mjs`),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.19',
    minify: true,
    sourcemap: 'external',
    banner: {js: BANNER},
    plugins: [requireBuiltins],
    logLevel: 'warning',
  })
}

/** @returns ids of the commands that help shows */
async function writeManifest(): Promise<string[]> {
  const plugin = new Plugin({root: stage, type: 'core', ignoreManifest: true, errorOnManifestCreate: true})
  await plugin.load()
  writeFileSync(join(stage, 'oclif.manifest.json'), `${JSON.stringify(plugin.manifest, null, 2)}\n`)
  return Object.values(plugin.manifest.commands).flatMap(({id, hidden}) => (hidden === true ? [] : [id]))
}

/** Rendered by the real command, so it cannot differ from what `help` prints. */
async function renderHelp(words: readonly string[], columns: number): Promise<string> {
  const env = {...process.env, NO_COLOR: '1', OCLIF_COLUMNS: String(columns), NODE_DISABLE_COMPILE_CACHE: '1'}
  const args = [join(stage, 'dist', 'kmeshctl.js'), 'help', ...words]
  return (await promisify(execFile)(process.execPath, args, {env})).stdout
}

/** `help.txt` for the root, `help/log-set-level.txt` for `log set-level --help`: printed without loading oclif. */
async function writeHelp(commandIds: readonly string[]): Promise<void> {
  const folder = join(stage, 'dist', 'help')
  mkdirSync(folder)
  writeFileSync(join(stage, 'dist', 'help.txt'), await renderHelp([], 100))
  const pending = [...commandIds]
  const renderNext = async (): Promise<void> => {
    for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
      const words = id.split(':')
      writeFileSync(join(folder, `${words.join('-')}.txt`), await renderHelp(words, 80))
    }
  }
  await Promise.all([renderNext(), renderNext(), renderNext()])
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
  await bundlePlugin()
  await writeHelp(await writeManifest())
  putInPlace()
} finally {
  rmSync(stage, {recursive: true, force: true})
}
