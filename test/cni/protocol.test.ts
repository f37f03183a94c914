// SPDX-License-Identifier: Apache-2.0
// Goal: every command of the CNI specification is answered as it wants it, whatever variables and configuration come.
// Method: the bundle is executed; answers and exit statuses are written by hand. No agent runs, none is needed.
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {test} from 'node:test'
import {CONTAINER, codeOf, config, type Env, logFile, run, VERSIONS} from './calls.ts'
import {execPlugin, PREV_RESULT, podArgs} from './exec-plugin.ts'

test('VERSION lists the versions, in that of the question, whatever is on stdin', async () => {
  const asked: [string, string][] = [
    ['{"cniVersion":"1.0.0"}', '1.0.0'],
    ['{"cniVersion":"0.3.1"}', '0.3.1'],
    ['{"cniVersion":"9.9.9"}', '1.1.0'],
    ['{"cniVersion":5}', '1.1.0'],
    ['', '1.1.0'],
    ['garbage \0', '1.1.0'],
  ]
  for (const [input, cniVersion] of asked) {
    const answer = await run('VERSION', input, {})
    assert.deepEqual(
      [answer.status, JSON.parse(answer.stdout)],
      [0, {cniVersion, supportedVersions: VERSIONS}],
    )
  }
})

test('ADD gives the previous result byte for byte, in every version with chains', async () => {
  for (const cniVersion of VERSIONS) {
    const answer = await run('ADD', config({cniVersion}))
    assert.deepEqual([answer.status, answer.stdout], [0, PREV_RESULT])
  }
})

test('without a previous result it does not run', async () => {
  for (const input of [config({}, null), config({}, 'null')]) {
    const answer = await run('ADD', input)
    assert.equal(codeOf(answer), 7)
    assert.match(answer.stdout, /kmesh-cni cannot run standalone/)
    assert.equal(codeOf(await run('CHECK', input)), 7)
  }
})

test('versions: unknown ones, and commands that came later', async () => {
  const rows: [string, unknown, number][] = [
    ['ADD', '0.1.0', 1],
    ['ADD', '0.2.0', 1],
    ['ADD', '2.0.0', 1],
    ['ADD', '1.0', 1],
    ['ADD', undefined, 1],
    ['ADD', 1, 7],
    ['CHECK', '0.3.1', 1],
    ['CHECK', '0.4.0', 0],
    ['STATUS', '1.0.0', 1],
    ['GC', '1.0.0', 1],
  ]
  for (const [command, cniVersion, code] of rows) {
    assert.equal(codeOf(await run(command, config({cniVersion}))), code, `${command} ${String(cniVersion)}`)
  }
})

test('variables: missing and wrong ones', async () => {
  const without = (name: string): Env =>
    Object.fromEntries(Object.entries(CONTAINER).filter(([key]) => key !== name))
  const rows: [string, Env, number][] = [
    ['', CONTAINER, 4],
    ['add', CONTAINER, 4],
    ['ADDX', CONTAINER, 4],
    ['ADD', without('CNI_CONTAINERID'), 4],
    ['ADD', without('CNI_NETNS'), 4],
    ['ADD', without('CNI_IFNAME'), 4],
    ['ADD', without('CNI_PATH'), 0],
    ['CHECK', without('CNI_NETNS'), 4],
    ['ADD', {...CONTAINER, CNI_CONTAINERID: '../c'}, 4],
    ['ADD', {...CONTAINER, CNI_CONTAINERID: 'c'.repeat(300)}, 4],
    ['ADD', {...CONTAINER, CNI_NETNS: 'relative'}, 4],
    ['ADD', {...CONTAINER, CNI_NETNS: '/a\u001b[2Jb'}, 4],
    ['ADD', {...CONTAINER, CNI_NETNS: `/${'n'.repeat(5000)}`}, 4],
    ['ADD', {...CONTAINER, CNI_IFNAME: 'longer-than-15-bytes'}, 4],
    ['ADD', {...CONTAINER, CNI_IFNAME: 'a/b'}, 4],
    ['ADD', {...CONTAINER, CNI_IFNAME: '..'}, 4],
  ]
  for (const [command, env, code] of rows) {
    assert.equal(
      codeOf(await run(command, config(), env)),
      code,
      `${command} ${JSON.stringify(env).slice(0, 200)}`,
    )
  }
})

test('CNI_ARGS: containers that are no pods pass; IgnoreUnknown as the libraries have it', async () => {
  const names = 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u1'
  // Nobody knows the pod and no policy holds it back: it passes when its arguments are right.
  const rows: [string, number][] = [
    ['', 0],
    ['FOO=BAR;ABC=123', 0],
    ['IgnoreUnknown=1;K8S_POD_NAME=;K8S_POD_NAMESPACE=', 0],
    [names, 0],
    [`IgnoreUnknown=true;${names};FOO=BAR`, 0],
    [`IgnoreUnknown=1;${names};FOO=BAR`, 0],
    [`${names};FOO=BAR`, 4],
    [`IgnoreUnknown=0;${names};FOO=BAR`, 4],
    [`IgnoreUnknown=maybe;${names}`, 4],
    [`${names};FOO`, 4],
    [`${names};A=B=C`, 4],
    ['K8S_POD_NAMESPACE=../x;K8S_POD_NAME=web', 4],
    ['K8S_POD_NAMESPACE=shop;K8S_POD_NAME=W/b', 4],
    ['K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=a/b', 4],
  ]
  for (const [args, code] of rows) {
    const answer = await run('ADD', config({timeoutSeconds: 0}), {...CONTAINER, CNI_ARGS: args})
    assert.equal(codeOf(answer), code, args)
    if (code === 0) assert.equal(answer.stdout, PREV_RESULT)
  }
})

test('GC without the list of what is valid collects nothing and says so; wrong lists too', async () => {
  const key = 'cni.dev/valid-attachments'
  const wrong = [
    {},
    {[key]: 5},
    {[key]: [5]},
    {[key]: [{containerID: 'c'}]},
    {[key]: [{containerID: '/', ifname: 'e'}]},
  ]
  for (const change of wrong) assert.equal(codeOf(await run('GC', config(change), {})), 7)
  assert.equal(codeOf(await run('GC', config({[key]: []}), {})), 5)
})

test('STATUS: 50 without an agent, nothing where the policy goes on without', async () => {
  assert.equal(codeOf(await run('STATUS', config({timeoutSeconds: 1}), {})), 50)
  const ignored = await run('STATUS', config({failurePolicy: 'ignore'}), {})
  assert.deepEqual([ignored.status, ignored.stdout], [0, ''])
})

test('DEL always works, says nothing and logs what was wrong', async () => {
  const pod = {...CONTAINER, CNI_ARGS: podArgs('shop', 'web', 'u1')}
  const rows: [string | Uint8Array, Env, RegExp][] = [
    [config(), pod, /agent of the mesh is away/],
    [config({}, null), pod, /agent of the mesh is away/],
    ['{{{', pod, /no JSON/],
    ['', {}, /no JSON/],
    [config({cniVersion: '7.0.0'}), pod, /not supported/],
    [config({failurePolicy: 5}), pod, /failurePolicy/],
    [config(), {}, /CNI_CONTAINERID, CNI_IFNAME missing/],
    [config(), {...pod, CNI_ARGS: 'K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;c'}, /no KEY=VALUE/],
    [Buffer.alloc(5 * 1024 * 1024), pod, /larger than/],
  ]
  for (const [input, env, message] of rows) {
    const {status, stdout, stderr} = await run('DEL', input, env)
    assert.deepEqual([status, stdout, stderr], [0, '', ''])
    assert.match(readFileSync(logFile, 'utf8').trimEnd().split('\n').at(-1) ?? '', message)
  }
})

test('a runtime that never ends stdin gets an answer', {timeout: 60_000}, async () => {
  const answer = await execPlugin({logFile, env: {CNI_COMMAND: 'ADD', ...CONTAINER}, keepOpen: true})
  assert.equal(codeOf(answer), 5)
  assert.match(answer.stdout, /stdin/)
})

test('each failure is one line of the log, without control characters', async () => {
  const before = readFileSync(logFile, 'utf8').split('\n').length
  await run('ADD', config(), {...CONTAINER, CNI_NETNS: '/a\u009b2J\u202eb\n'})
  const lines = readFileSync(logFile, 'utf8').split('\n')
  assert.equal(lines.length, before + 1)
  const line = lines.at(-2) ?? ''
  assert.doesNotMatch(line, /[\0-\x1f\x7f-\x9f\u202e]/)
  assert.deepEqual([JSON.parse(line).level, JSON.parse(line).code], ['error', 4])
})
