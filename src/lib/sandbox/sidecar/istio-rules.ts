// SPDX-License-Identifier: Apache-2.0
/** The rules that Istio's init container makes in a pod's network namespace, as texts for iptables-restore and nft; pure. */

export interface RedirectOptions {
  readonly outboundPort: string
  readonly inboundPort: string
  readonly user: string
  readonly group: string
  readonly mode: 'REDIRECT' | 'TPROXY'
  /** `*` or CIDRs: what of the outbound traffic is taken. */
  readonly outboundRanges: readonly string[]
  readonly outboundExcludedRanges: readonly string[]
  readonly outboundExcludedPorts: readonly string[]
  /** `*` or ports. */
  readonly inboundPorts: readonly string[]
  readonly inboundExcludedPorts: readonly string[]
}

export interface Family {
  readonly loopback: string
  /** Of the proxy's own connections to the application. */
  readonly source: string
}

export const FAMILIES = {
  4: {loopback: '127.0.0.1/32', source: '127.0.0.6/32'},
  6: {loopback: '::1/128', source: '::6/128'},
} as const satisfies Record<4 | 6, Family>

/** Mesh traffic of ztunnel's protocol is never redirected. */
const HBONE_PORT = '15008'
const TPROXY_MARK = '0x539'
const OUTBOUND_MARK = '0x53a'
export const TPROXY_TABLE = '133'

/** Text for `iptables-restore --noflush`: table nat, and for TPROXY also mangle. */
export function restoreText(options: RedirectOptions, family: Family): string {
  const tables =
    options.mode === 'REDIRECT'
      ? [tableText('nat', redirectChains(), [...inboundRules(options), ...outboundRules(options, family)])]
      : [
          tableText(
            'nat',
            ['ISTIO_REDIRECT', 'ISTIO_IN_REDIRECT', 'ISTIO_OUTPUT'],
            outboundRules(options, family),
          ),
          tableText(
            'mangle',
            ['ISTIO_DIVERT', 'ISTIO_TPROXY', 'ISTIO_INBOUND'],
            tproxyRules(options, family),
          ),
        ]
  return tables.join('')
}

function redirectChains(): string[] {
  return ['ISTIO_INBOUND', 'ISTIO_REDIRECT', 'ISTIO_IN_REDIRECT', 'ISTIO_OUTPUT']
}

function tableText(table: string, chains: readonly string[], rules: readonly string[]): string {
  return [
    `*${table}`,
    ...chains.map((chain) => `:${chain} - [0:0]`),
    ...rules.map((rule) => `-A ${rule}`),
    'COMMIT',
    '',
  ].join('\n')
}

/** Ports that are left alone, in the order of a real run. */
function passedPorts({inboundExcludedPorts}: RedirectOptions): string[] {
  return [HBONE_PORT, ...inboundExcludedPorts].map(
    (port) => `ISTIO_INBOUND -p tcp -m tcp --dport ${port} -j RETURN`,
  )
}

function capturedPorts(options: RedirectOptions, target: string): string[] {
  return options.inboundPorts.map((port) =>
    port === '*'
      ? `ISTIO_INBOUND -p tcp -j ${target}`
      : `ISTIO_INBOUND -p tcp -m tcp --dport ${port} -j ${target}`,
  )
}

function inboundRules(options: RedirectOptions): string[] {
  return [
    'PREROUTING -p tcp -j ISTIO_INBOUND',
    ...passedPorts(options),
    ...capturedPorts(options, 'ISTIO_IN_REDIRECT'),
  ]
}

function outboundRules(options: RedirectOptions, {loopback, source}: Family): string[] {
  const {user, group, outboundPort, inboundPort} = options
  return [
    'OUTPUT -j ISTIO_OUTPUT',
    `ISTIO_OUTPUT -s ${source} -o lo -j RETURN`,
    ...ownerRules(`--uid-owner ${user}`, loopback),
    ...ownerRules(`--gid-owner ${group}`, loopback),
    `ISTIO_OUTPUT -d ${loopback} -j RETURN`,
    ...options.outboundExcludedPorts.map((port) => `ISTIO_OUTPUT -p tcp -m tcp --dport ${port} -j RETURN`),
    ...ofFamily(options.outboundExcludedRanges, source).map((range) => `ISTIO_OUTPUT -d ${range} -j RETURN`),
    ...ofFamily(options.outboundRanges, source).map((range) =>
      range === '*' ? 'ISTIO_OUTPUT -j ISTIO_REDIRECT' : `ISTIO_OUTPUT -d ${range} -j ISTIO_REDIRECT`,
    ),
    `ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports ${outboundPort}`,
    `ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports ${inboundPort}`,
  ]
}

function ofFamily(ranges: readonly string[], source: string): string[] {
  return ranges.filter((range) => range === '*' || range.includes(':') === source.includes(':'))
}

function ownerRules(owner: string, loopback: string): string[] {
  return [
    `ISTIO_OUTPUT ! -d ${loopback} -o lo -p tcp -m tcp ! --dport ${HBONE_PORT} -m owner ${owner} -j ISTIO_IN_REDIRECT`,
    `ISTIO_OUTPUT -o lo -m owner ! ${owner} -j RETURN`,
    `ISTIO_OUTPUT -m owner ${owner} -j RETURN`,
  ]
}

function tproxyRules(options: RedirectOptions, {loopback, source}: Family): string[] {
  const {inboundPort, user, group} = options
  return [
    'PREROUTING -p tcp -j ISTIO_INBOUND',
    `PREROUTING -p tcp -m mark --mark ${TPROXY_MARK} -j CONNMARK --save-mark`,
    `OUTPUT -p tcp -m connmark --mark ${TPROXY_MARK} -j CONNMARK --restore-mark`,
    ...[`--uid-owner ${user}`, `--gid-owner ${group}`].map(
      (owner) => `OUTPUT ! -d ${loopback} -o lo -p tcp -m owner ${owner} -j MARK --set-mark ${OUTBOUND_MARK}`,
    ),
    `ISTIO_DIVERT -j MARK --set-mark ${TPROXY_MARK}`,
    'ISTIO_DIVERT -j ACCEPT',
    `ISTIO_TPROXY ! -d ${loopback} -p tcp -j TPROXY --on-port ${inboundPort} --tproxy-mark ${TPROXY_MARK}/0xffffffff`,
    ...passedPorts(options),
    `ISTIO_INBOUND -p tcp -m mark --mark ${TPROXY_MARK} -j RETURN`,
    `ISTIO_INBOUND -s ${source} -i lo -p tcp -j RETURN`,
    `ISTIO_INBOUND -i lo -p tcp -m mark ! --mark ${OUTBOUND_MARK} -j RETURN`,
    'ISTIO_INBOUND -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT',
    ...capturedPorts(options, 'ISTIO_TPROXY'),
  ]
}

/** The REDIRECT rules as nftables of their own, for `nft -f -`. */
export function nftText(options: RedirectOptions, version: 4 | 6): string {
  const {user, group, outboundPort, inboundPort} = options
  const {loopback, source} = FAMILIES[version]
  const ip = version === 4 ? 'ip' : 'ip6'
  const passed = [HBONE_PORT, ...options.inboundExcludedPorts].join(', ')
  const owner = (key: string, id: string): string[] => [
    `oifname lo ${ip} daddr != ${loopback} tcp dport != ${HBONE_PORT} meta ${key} ${id} jump istio-in-redirect`,
    `oifname lo meta ${key} != ${id} return`,
    `meta ${key} ${id} return`,
  ]
  return [
    `table ${ip} istio-proxy-nat {`,
    'chain istio-redirect {',
    `meta l4proto tcp redirect to :${outboundPort}`,
    '}',
    'chain istio-in-redirect {',
    `meta l4proto tcp redirect to :${inboundPort}`,
    '}',
    'chain istio-inbound {',
    `tcp dport { ${passed} } return`,
    'meta l4proto tcp jump istio-in-redirect',
    '}',
    'chain istio-output {',
    `oifname lo ${ip} saddr ${source} return`,
    ...owner('skuid', user),
    ...owner('skgid', group),
    `${ip} daddr ${loopback} return`,
    'jump istio-redirect',
    '}',
    'chain prerouting {',
    'type nat hook prerouting priority dstnat;',
    'meta l4proto tcp jump istio-inbound',
    '}',
    'chain output {',
    'type nat hook output priority -100;',
    'jump istio-output',
    '}',
    '}',
    '',
  ].join('\n')
}
