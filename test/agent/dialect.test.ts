// SPDX-License-Identifier: Apache-2.0
// Goal: on the endpoints that a Go daemon has too, status, headers and body are those of the v1.2 dialect.
// Method: requests over loopback HTTP; expectations by hand after contracts section 1.
import assert from 'node:assert/strict'
import {after, before, describe, test} from 'node:test'
import {type AgentFixture, startFixture} from './agent-fixture.ts'

const TEXT = {'content-type': 'text/plain; charset=utf-8'}
const NOSNIFF = {...TEXT, 'x-content-type-options': 'nosniff'}

let fixture: AgentFixture
before(async () => {
  fixture = await startFixture()
})
after(() => fixture.agent.stop())

interface Case {
  readonly ask: readonly [method: string, path: string, body?: string]
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

function text(ask: Case['ask'], status: number, body: string): Case {
  return {ask, status, headers: TEXT, body}
}

function error(ask: Case['ask'], status: number, message: string): Case {
  return {ask, status, headers: NOSNIFF, body: ask[0] === 'HEAD' ? '' : `${message}\n`}
}

function set(name: string | undefined, level: string | undefined): Case['ask'] {
  return ['POST', '/debug/loggers', JSON.stringify({name, level})]
}

function moved(method: string, path: string, to: string): Case {
  const html = {'content-type': 'text/html; charset=utf-8'}
  const isShown = method === 'GET'
  return {
    ask: [method, path],
    status: 307,
    headers: {...(isShown ? html : {}), location: to},
    body: isShown ? `<a href="${to}">Temporary Redirect</a>.\n\n` : '',
  }
}

const LOGGERS = '/debug/loggers'
const CASES: readonly Case[] = [
  error(['GET', '/'], 404, '404 page not found'),
  error(['GET', '/nope'], 404, '404 page not found'),
  error(['GET', '/version/'], 404, '404 page not found'),
  error(['GET', '/debug/config_dump/ads'], 404, '404 page not found'),
  moved('GET', '/debug/../version', '/version'),
  moved('GET', '//version', '/version'),
  moved('POST', '//version', '/version'),
  moved('GET', '/debug/./loggers?name=bpf', '/debug/loggers?name=bpf'),
  text(['GET', '/debug/config_dump/kernel-native'], 400, '\tInvalid Client Mode\n'),
  text(['POST', '/debug/config_dump/bpf/kernel-native'], 400, '\tInvalid Client Mode\n'),
  text(['GET', `${LOGGERS}?name=nope`], 400, '\tlogger nope does not exist\n'),
  text(['GET', `${LOGGERS}?name=Default`], 400, '\tlogger Default does not exist\n'),
  text(set('default', 'debug'), 200, 'OK'),
  text(['POST', LOGGERS, '{"NAME":"default","Level":"WARN","x":1}'], 200, 'OK'),
  text(set('default', 'loud'), 400, '\tInvalid request body format: not a valid logrus Level: "loud"\n'),
  text(set('default', undefined), 400, '\tInvalid request body format: not a valid logrus Level: ""\n'),
  text(set('nope', 'info'), 400, '\tlogger nope does not exist\n'),
  text(set(undefined, 'info'), 400, '\tlogger  does not exist\n'),
  text(['POST', LOGGERS, '{'], 400, '\tInvalid request body format: unexpected end of JSON input\n'),
  text(['POST', LOGGERS], 400, '\tInvalid request body format: unexpected end of JSON input\n'),
  text(
    ['POST', LOGGERS, '[]'],
    400,
    '\tInvalid request body format: json: cannot unmarshal array into Go value of type status.LoggerInfo\n',
  ),
  text(
    ['POST', LOGGERS, '{"name":"default","level":3}'],
    400,
    '\tInvalid request body format: json: cannot unmarshal number into Go struct field LoggerInfo.level of type string\n',
  ),
  text(set('bpf', 'debug'), 200, 'set BPF Log Level: 3\n'),
  text(set('bpf', '1'), 200, 'set BPF Log Level: 1\n'),
  ...['4', '-1', 'trace', 'DEBUG', 'warning', undefined].map((level) =>
    error(set('bpf', level), 400, 'Invalid log level'),
  ),
  text(set('bpf', 'info'), 200, 'set BPF Log Level: 2\n'),
  error(['PUT', LOGGERS, '{"name":"default","level":"info"}'], 405, 'Method Not Allowed'),
  error(['DELETE', LOGGERS], 405, 'Method Not Allowed'),
  error(['HEAD', LOGGERS], 405, 'Method Not Allowed'),
]

for (const {ask, status, headers, body} of CASES) {
  test(ask.join(' '), async () => {
    const reply = await fixture.ask(...ask)
    assert.equal(reply.status, status)
    assert.equal(reply.body, body)
    for (const [name, value] of Object.entries(headers)) assert.equal(reply.headers[name], value, name)
    if (headers['x-content-type-options'] === undefined) {
      assert.equal(reply.headers['x-content-type-options'], undefined)
    }
    const length = ask[0] === 'HEAD' ? 'Method Not Allowed\n'.length : Buffer.byteLength(body)
    assert.equal(reply.headers['content-length'], String(length))
  })
}

describe('texts with values', () => {
  test('the list of loggers, with and without an empty name', async () => {
    const names = ['default', 'agent', 'loader', 'watch', 'reconcile', 'enroll', 'admin', 'bpf']
    const expected = `[\n${names.map((name) => `    "${name}"`).join(',\n')}\n]`
    for (const path of [LOGGERS, `${LOGGERS}?name=`]) {
      const reply = await fixture.ask('GET', path)
      assert.equal(reply.body, expected)
      assert.equal(reply.headers['content-type'], TEXT['content-type'])
    }
  })

  test('a level reads back in the words of logrus, with what is ours behind', async () => {
    await fixture.ask(...set('default', 'WARN'))
    const reply = await fixture.ask('GET', `${LOGGERS}?name=default`)
    assert.equal(
      reply.body,
      '{\n    "name": "default",\n    "level": "warning",\n    "default": "info",\n    "expiresAt": null\n}',
    )
    await fixture.ask(...set('default', 'info'))
  })

  test('/version: indent 2, no newline at the end, any method', async () => {
    const get = await fixture.ask('GET', '/version')
    assert.match(
      get.body,
      /^\{\n {2}"gitVersion": "v9.9.9",\n {2}"gitCommit": "c",[\s\S]*"existingPods": "live"\n\}$/,
    )
    assert.equal(get.headers['content-type'], TEXT['content-type'])
    assert.equal((await fixture.ask('POST', '/version')).body, get.body)
    const head = await fixture.ask('HEAD', '/version')
    assert.deepEqual([head.body, head.headers['content-length']], ['', get.headers['content-length']])
  })

  test('a body that is too long is refused, not kept', async () => {
    const reply = await fixture.ask('POST', LOGGERS, `{"name":"${'x'.repeat(70_000)}"}`)
    assert.deepEqual(
      [reply.status, reply.body],
      [400, '\tError reading request body: http: request body too large\n'],
    )
  })
})
