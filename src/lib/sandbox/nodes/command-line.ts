// SPDX-License-Identifier: Apache-2.0
/** What a container runs: image, command, args and environment as a command line. */
import {accessSync, constants, statSync} from 'node:fs'
import {isAbsolute, join, resolve} from 'node:path'
import {KmeshError} from '../../errors.ts'
import type {Container} from '../../model/kube.ts'

/** Istio's proxy, of whatever registry and version. */
const SIDECAR_IMAGE = /^(?:[^/]+\/)*proxyv2(?:[:@][\w.:-]+)?$/
const ECHO_IMAGE = /^(?:[^/]+\/)?sandbox\/echo(?::[\w.-]+)?$/

export interface CommandLine {
  readonly file: string
  readonly args: readonly string[]
}

/** The container cannot be started as it is written; the message goes into its status. */
export class CreateContainerError extends KmeshError {
  override readonly name = 'CreateContainerError'
  constructor(message: string) {
    super(message, {code: 'CreateContainerError'})
  }
}

/**
 * @param echoProgram what `image: sandbox/echo` means
 * @param sidecarProgram what Istio's image `proxyv2` means; undefined where there is no such image
 * @throws CreateContainerError
 */
export function commandLineOf(
  container: Container,
  environment: Readonly<Record<string, string>>,
  echoProgram: readonly string[],
  sidecarProgram?: readonly string[],
): CommandLine {
  const expand = (text: string): string => expandVariables(text, environment)
  const command = (container.command ?? []).map(expand)
  const args = (container.args ?? []).map(expand)
  const builtIn = ECHO_IMAGE.test(container.image ?? '')
    ? echoProgram
    : isSidecarImage(container)
      ? sidecarProgram
      : undefined
  if (command.length === 0 && builtIn !== undefined) {
    const [file = '', ...rest] = builtIn
    return {file, args: [...rest, ...args]}
  }
  const [file, ...rest] = command
  if (file === undefined) {
    throw new CreateContainerError(
      `image "${container.image ?? ''}" is not fetched: only sandbox/echo and proxyv2 are built in, others need a command, which runs from this machine's files`,
    )
  }
  return {
    file: findProgram(file, environment['PATH'] ?? '', container.workingDir ?? '/'),
    args: [...rest, ...args],
  }
}

/** It is Istio's, as injection writes it: the sandbox has its own program for it. */
export function isSidecarImage(container: Container): boolean {
  return (container.command ?? []).length === 0 && SIDECAR_IMAGE.test(container.image ?? '')
}

/** Ports that the container is known to listen on: what it declares, and those of the echo program. */
export function portsOf(container: Container, environment: Readonly<Record<string, string>>): number[] {
  const declared = (container.ports ?? []).map(({containerPort}) => containerPort)
  const isEcho = (container.command ?? []).length === 0 && ECHO_IMAGE.test(container.image ?? '')
  const own = isEcho ? [Number(environment['PORT'] ?? 8080), Number(environment['TCP_PORT'] ?? 9090)] : []
  return [...new Set([...declared, ...own])]
}

/** `$(NAME)` becomes the variable's value, `$$` one dollar; unknown names stay as they are. */
function expandVariables(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([A-Za-z_][\w.-]*)\)/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$'
    return environment[name] ?? whole
  })
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

function findProgram(file: string, path: string, workingDir: string): string {
  if (file.includes('/')) {
    const absolute = isAbsolute(file) ? file : resolve(workingDir, file)
    if (isExecutable(absolute)) return absolute
    throw new CreateContainerError(`exec: "${file}": no such executable file`)
  }
  const found = path
    .split(':')
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, file))
    .find(isExecutable)
  if (found === undefined) throw new CreateContainerError(`exec: "${file}": not found in PATH (${path})`)
  return found
}
