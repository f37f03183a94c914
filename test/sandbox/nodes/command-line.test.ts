// SPDX-License-Identifier: Apache-2.0
// Goal: what a container runs, from image, command, args and environment. Method: values by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {CreateContainerError, commandLineOf} from '../../../src/lib/sandbox/nodes/command-line.ts'

const ECHO = ['/usr/bin/node', '/opt/echo.js']
const environment = {PATH: '/nowhere:/bin:/usr/bin', NAME: 'x', EMPTY: ''}

for (const [what, container, expected] of [
  ['the echo image', {image: 'sandbox/echo'}, {file: '/usr/bin/node', args: ['/opt/echo.js']}],
  [
    'with tag, registry and args',
    {image: 'docker.io/sandbox/echo:v1', args: ['connect']},
    {file: '/usr/bin/node', args: ['/opt/echo.js', 'connect']},
  ],
  [
    'an absolute program',
    {command: ['/bin/sh', '-c'], args: ['true']},
    {file: '/bin/sh', args: ['-c', 'true']},
  ],
  [
    'a command goes before the image',
    {image: 'sandbox/echo', command: ['/bin/sh']},
    {file: '/bin/sh', args: []},
  ],
  [
    'variables',
    {command: ['/bin/sh'], args: ['$(NAME)$(EMPTY)-$(NONE)-$$(NAME)-$NAME']},
    {file: '/bin/sh', args: ['x-$(NONE)-$(NAME)-$NAME']},
  ],
] as const) {
  test(what, () => {
    assert.deepEqual(commandLineOf({name: 'main', ...container}, environment, ECHO), expected)
  })
}

test('a name is looked up in the PATH of the container', () => {
  assert.match(commandLineOf({name: 'main', command: ['sh']}, environment, ECHO).file, /^(\/usr)?\/bin\/sh$/)
})

for (const [what, container, message] of [
  ['another image without a command', {image: 'nginx:1'}, /image "nginx:1" is not fetched/],
  ['an image that only ends like echo', {image: 'evil/sandbox/echo/x'}, /is not fetched/],
  [
    'a name that is nowhere',
    {command: ['no-such-program']},
    /not found in PATH \(\/nowhere:\/bin:\/usr\/bin\)/,
  ],
  ['a file that cannot be executed', {command: ['/etc/passwd']}, /no such executable file/],
  ['a directory', {command: ['/bin/']}, /no such executable file/],
] as const) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => commandLineOf({name: 'main', ...container}, environment, ECHO),
      (error) => error instanceof CreateContainerError && message.test(error.message),
    )
  })
}
