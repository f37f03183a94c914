// SPDX-License-Identifier: Apache-2.0
/** `istio-iptables ...`: reads its arguments as Istio writes them and puts the rules where it runs. */
import {isIPv6} from 'node:net'
import {parseArgs} from 'node:util'
import {UsageError} from '../../errors.ts'
import {FAMILIES, nftText, type RedirectOptions, restoreText, TPROXY_TABLE} from './istio-rules.ts'

/** One program to run; a failure of an optional one is passed over. */
export interface Step {
  readonly file: string
  readonly args: readonly string[]
  readonly input?: string
  /** It may be there already. */
  readonly isOptional?: boolean
}

export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Addresses of the pod, in the order of its interfaces. */
  readonly addresses: readonly string[]
}

const listOf = (text: string): string[] => text.split(',').filter((entry) => entry !== '')

/** @throws UsageError for arguments that it does not know */
export function stepsOf(args: readonly string[], {environment, addresses}: Surroundings): Step[] {
  const values = valuesOf(args)
  const options: RedirectOptions = {
    outboundPort: values.p,
    inboundPort: values.z,
    user: values.u,
    group: values.g ?? values.u,
    mode: values.m === 'TPROXY' ? 'TPROXY' : 'REDIRECT',
    outboundRanges: listOf(values.i),
    outboundExcludedRanges: listOf(values.x),
    outboundExcludedPorts: listOf(values.o),
    inboundPorts: listOf(values.b),
    inboundExcludedPorts: listOf(values.d),
  }
  const isDual = environment['ISTIO_DUAL_STACK'] === 'true'
  const withIpv6 = isDual || isIPv6(addresses[0] ?? '')
  const backend = values['force-iptables-binary'] ?? environment['FORCE_IPTABLES_BINARY'] ?? 'nft'
  const suffix = backend.endsWith('legacy') ? 'legacy' : 'nft'
  const versions = withIpv6 ? ([4, 6] as const) : ([4] as const)
  return [
    ...(withIpv6 ? [addressStep()] : []),
    ...(options.mode === 'TPROXY' ? versions.flatMap(routeSteps) : []),
    ...versions.map((version) =>
      values['native-nftables']
        ? {file: 'nft', args: ['-f', '-'], input: nftText(options, version)}
        : {
            file: `${version === 4 ? 'iptables' : 'ip6tables'}-${suffix}-restore`,
            args: ['--noflush', ...(suffix === 'legacy' ? ['--wait=30'] : [])],
            input: restoreText(options, FAMILIES[version]),
          },
    ),
  ]
}

function valuesOf(args: readonly string[]) {
  const text = (short: string, value: string) => ({type: 'string', short, default: value}) as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        p: text('p', '15001'),
        z: text('z', '15006'),
        u: text('u', '1337'),
        g: {type: 'string', short: 'g'},
        m: text('m', 'REDIRECT'),
        i: text('i', '*'),
        x: text('x', ''),
        b: text('b', '*'),
        d: text('d', ''),
        o: text('o', ''),
        'native-nftables': {type: 'boolean', default: false},
        'force-iptables-binary': {type: 'string'},
        log_output_level: {type: 'string'},
        log_as_json: {type: 'boolean'},
      },
    }).values
  } catch (error) {
    throw new UsageError(`istio-iptables: ${error instanceof Error ? error.message : error}`)
  }
}

/** Only then can the proxy bind to it: IPv6 has no whole loopback range. */
function addressStep(): Step {
  return {file: 'ip', args: ['-6', 'addr', 'replace', FAMILIES[6].source, 'dev', 'lo']}
}

/** What TPROXY marks is delivered here, whatever its address. */
function routeSteps(version: 4 | 6): Step[] {
  const ip = (...args: string[]): Step => ({file: 'ip', args: [`-${version}`, ...args]})
  return [
    {...ip('rule', 'add', 'fwmark', '0x539', 'lookup', TPROXY_TABLE), isOptional: true},
    ip('route', 'replace', 'local', 'default', 'dev', 'lo', 'table', TPROXY_TABLE),
  ]
}
