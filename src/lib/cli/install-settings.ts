// SPDX-License-Identifier: Apache-2.0
/** Flags of `install` as settings, checked. */
import {UsageError} from '../errors.ts'
import {defaultImage, type InstallSettings} from '../model/manifests-settings.ts'
import {MANAGED_OPTIONS} from '../model/manifests-workload.ts'

export interface InstallFlags {
  readonly image?: string | undefined
  readonly 'image-pull-policy': InstallSettings['imagePullPolicy']
  readonly 'image-pull-secret'?: readonly string[] | undefined
  readonly namespace: string
  readonly 'node-selector'?: readonly string[] | undefined
  readonly 'existing-pods': InstallSettings['existingPods']
  readonly 'sidecar-policy': InstallSettings['sidecarPolicy']
  readonly cni: boolean
  readonly 'failure-policy': InstallSettings['failurePolicy']
  readonly 'log-level': string
  readonly set?: readonly string[] | undefined
  readonly 'cni-etc-path': string
  readonly 'cni-bin-path': string
  readonly 'conflist-name'?: string | undefined
  readonly 'cgroup2-path': string
  readonly 'bpf-fs-path': string
  readonly 'state-dir': string
  readonly 'run-dir': string
}

/** @throws UsageError, nothing was asked then */
export function installSettings(flags: InstallFlags, version: string): InstallSettings {
  const path = (flag: keyof InstallFlags & `${string}-${string}`): string =>
    checkPath(flag, String(flags[flag]))
  return {
    namespace: checked('namespace', flags.namespace, /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/),
    image: checked('image', flags.image ?? defaultImage(version), /^[A-Za-z0-9][\w./:@-]{0,511}$/),
    imagePullPolicy: flags['image-pull-policy'],
    imagePullSecrets: flags['image-pull-secret'] ?? [],
    existingPods: flags['existing-pods'],
    sidecarPolicy: flags['sidecar-policy'],
    logLevel: checked('log-level', flags['log-level'], /^[a-z]+$/),
    cni: flags.cni,
    failurePolicy: flags['failure-policy'],
    conflistName: flags['conflist-name'],
    hostPaths: {
      bpfFs: path('bpf-fs-path'),
      cgroup2: path('cgroup2-path'),
      state: path('state-dir'),
      run: path('run-dir'),
      cniEtc: path('cni-etc-path'),
      cniBin: path('cni-bin-path'),
    },
    nodeSelector: Object.fromEntries((flags['node-selector'] ?? []).map(labelOf)),
    agentOptions: Object.fromEntries((flags.set ?? []).map(optionOf)),
    version,
  }
}

function checked(flag: string, value: string, pattern: RegExp): string {
  if (pattern.test(value)) return value
  throw new UsageError(`--${flag}: '${value}' is not valid`, {parameter: `--${flag}`})
}

/** A volume path may not go up, and a mount path may hold no colon. */
function checkPath(flag: string, path: string): string {
  if (/^\/[^:]*[^:/]$/.test(path) && !path.split('/').includes('..')) return path
  throw new UsageError(
    `--${flag}: '${path}' is not an absolute path of a node, without '..', ':' and a last '/'`,
    {
      parameter: `--${flag}`,
    },
  )
}

function labelOf(text: string): readonly [string, string] {
  const [, key = '', value = ''] = /^([A-Za-z0-9][\w./-]*)=([\w.-]*)$/.exec(text) ?? []
  if (key !== '') return [key, value]
  throw new UsageError(`--node-selector: '${text}' is not KEY=VALUE`, {parameter: '--node-selector'})
}

function optionOf(text: string): readonly [string, string | null] {
  const [, name = '', , value] = /^([a-z][a-z0-9-]*)(=([\s\S]*))?$/.exec(text) ?? []
  if (name === '') {
    throw new UsageError(`--set: '${text}' is neither NAME nor NAME=VALUE`, {parameter: '--set'})
  }
  if (name in MANAGED_OPTIONS) {
    const flag = MANAGED_OPTIONS[name]
    const hints = flag === null ? [] : [`use ${flag}`]
    throw new UsageError(`--set: the install sets --${name} of the agents by itself`, {
      parameter: '--set',
      hints,
    })
  }
  return [name, value ?? null]
}

/** Before anything is asked of a cluster. @throws UsageError where a question would meet nobody */
export function requireAnswer(command: string, yes: boolean, isInteractive: boolean): void {
  if (yes || isInteractive) return
  throw new UsageError(`${command} asks before it writes, and nobody can answer here`, {
    hints: ['use --yes to go on'],
  })
}
