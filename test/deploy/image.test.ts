// SPDX-License-Identifier: Apache-2.0
// Goal: the image of deploy/Dockerfile would build and its agent would start: every file is there, and nothing else is needed.
// Method: no registry here, so the steps of the Dockerfile by hand: its COPY lines, its script, and a root that holds only
// that, the libraries it installs and a shell; the entry point is run in there.
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {after, before, test} from 'node:test'

const root = join(import.meta.dirname, '../..')
const dockerfile = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8')
const scratch = mkdtempSync(join(tmpdir(), `kmt${process.pid}-image-`))
const isRoot = process.getuid?.() === 0
after(() => rmSync(scratch, {recursive: true, force: true}))

test('every path that it copies exists, and what it installs from is copied before', () => {
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = '']) =>
    paths.split(' '),
  )
  assert.deepEqual(
    copied.filter((path) => !existsSync(join(root, path))),
    [],
  )
  for (const needed of ['package-lock.json', 'bin', 'src', 'bpf', 'deploy', 'tsconfig.json']) {
    assert.ok(copied.includes(needed), needed)
  }
})

test('its tag in the comment is the default of kmeshctl install', () => {
  const {version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.ok(dockerfile.includes(`-t kmesh-daemon:v${version} .`))
})

/** A program with the libraries that it is linked to, at the same places. */
function bring(program: string): void {
  const libraries = [...ldd(program).matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path)
  for (const file of [program, ...libraries]) {
    const target = join(scratch, file)
    mkdirSync(dirname(target), {recursive: true})
    cpSync(realpathSync(file), target)
  }
}

function ldd(program: string): string {
  return execFileSync('ldd', [program], {encoding: 'utf8'})
}

function inside(...command: string[]): string {
  const env = {PATH: '/usr/sbin:/usr/bin:/sbin:/bin'}
  return execFileSync('chroot', [scratch, ...command], {encoding: 'utf8', env})
}

const NODE = `opt/kmesh/node_modules/node-linux-${process.arch}/bin/node`

before(() => {
  if (!isRoot) return
  execFileSync(join(root, 'deploy/image-root.sh'), [root, join(scratch, 'opt/kmesh')])
  for (const tool of ['sh', 'dirname', 'readlink', 'uname']) {
    bring(execFileSync('sh', ['-c', `command -v ${tool}`], {encoding: 'utf8'}).trim())
  }
  bring('/bin/sh')
  for (const [, library = ''] of ldd(join(scratch, NODE)).matchAll(/=> (\/\S+)/g)) bring(library)
  const libbpf = execFileSync('sh', ['-c', 'ldconfig -p || /sbin/ldconfig -p'], {encoding: 'utf8'})
  bring(/libbpf\.so\.1 .*=> (\S+)/.exec(libbpf)?.[1] ?? assert.fail('no libbpf.so.1 here'))
  const loader = /(\/lib64\/\S+) \(0x/.exec(ldd(join(scratch, NODE)))?.[1]
  if (loader) bring(loader)
})

test('its entry point starts on what the image holds', {skip: !isRoot && 'chroot needs root'}, () => {
  const entry = JSON.parse(/^ENTRYPOINT (.+)$/m.exec(dockerfile)?.[1] ?? '[]') as string[]
  const {version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.equal(inside(...entry, '--version'), `kmesh-daemon v${version}\n`)
  assert.match(inside(...entry, '--help'), /--bpf-fs-path DIR/)
})

test('the loader of the BPF programs is found there', {skip: !isRoot && 'chroot needs root'}, () => {
  const script = "console.log(typeof require('/opt/kmesh/node_modules/koffi').load('libbpf.so.1').func)"
  assert.equal(inside(`/${NODE}`, '-e', script), 'function\n')
  assert.ok(existsSync(join(scratch, 'opt/kmesh/bpf/kmesh.bpf.o')))
})
