// SPDX-License-Identifier: Apache-2.0
import type {ConfigItem, ConfigItemOf} from '../model/config-item.ts'
import type {View} from './formats.ts'
import type {Cell, Column} from './table.ts'
import {count} from './text.ts'

type Part = ConfigItem['part']

function column<P extends Part>(
  _part: P,
  header: string,
  value: (item: ConfigItemOf<P>) => Cell,
  wide = false,
): Column<ConfigItem> {
  return {header, value: (item) => value(item as ConfigItemOf<P>), ...(wide ? {wide} : {})}
}

const NODE: Column<ConfigItem> = {header: 'NODE', value: (item) => item.node}
const NAMESPACE: Column<ConfigItem> = {
  header: 'NAMESPACE',
  value: (item) => ('namespace' in item ? item.namespace : null),
}
const NAME: Column<ConfigItem> = {header: 'NAME', value: (item) => item.name}

const PORTS = (ports: readonly {readonly port: number; readonly targetPort: number}[]): string =>
  ports.map(({port, targetPort}) => (targetPort === 0 ? `${port}` : `${port}->${targetPort}`)).join(',')

/** Columns after the name. */
const COLUMNS: {readonly [P in Part]: readonly Column<ConfigItem>[]} = {
  services: [
    column('services', 'HOSTNAME', ({hostname}) => hostname),
    column('services', 'ADDRESSES', ({vips}) => vips.map(({address}) => address).join(',')),
    column('services', 'PORTS', ({ports}) => PORTS(ports)),
    column('services', 'WAYPOINT', ({waypoint}) => waypoint),
    column('services', 'BALANCING', ({loadBalancer}) => loadBalancer?.mode, true),
  ],
  workloads: [
    column('workloads', 'ADDRESSES', ({addresses}) => addresses.join(',')),
    column('workloads', 'RUNS ON', ({workloadNode}) => workloadNode),
    column('workloads', 'PROTOCOL', ({protocol}) => protocol),
    column('workloads', 'STATUS', ({status}) => status),
    column('workloads', 'SERVICES', ({services}) => services?.join(','), true),
    column('workloads', 'WAYPOINT', ({waypoint}) => waypoint, true),
  ],
  policies: [
    column('policies', 'SCOPE', ({scope}) => scope),
    column('policies', 'ACTION', ({action}) => action),
    column('policies', 'RULES', ({rules}) => rules.length),
  ],
  listeners: [
    column('listeners', 'ADDRESS', ({address}) => address),
    column('listeners', 'PORT', ({port}) => port),
    column('listeners', 'FILTER CHAINS', ({filterChains}) => filterChains.length),
    column('listeners', 'STATUS', ({apiStatus}) => apiStatus, true),
  ],
  clusters: [
    column('clusters', 'BALANCING', ({lbPolicy}) => lbPolicy),
    column('clusters', 'CONNECT TIMEOUT', ({connectTimeoutSeconds}) => `${connectTimeoutSeconds}s`),
    column('clusters', 'ENDPOINTS', ({endpoints}) =>
      endpoints.map(({address, port}) => `${address}:${port}`).join(','),
    ),
  ],
  routes: [
    column('routes', 'VIRTUAL HOSTS', ({virtualHosts}) =>
      virtualHosts.map(({name}) => String(name)).join(','),
    ),
  ],
}

const SUMMARY: Column<ConfigItem> = {
  header: 'DETAILS',
  value: (item) =>
    COLUMNS[item.part]
      .filter(({wide}) => !wide)
      .map(({header, value}) => [header.toLowerCase().replace(' ', '-'), value(item)] as const)
      .filter(([, value]) => value !== null && value !== undefined && value !== '')
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
}

/** @param part - undefined: objects of every kind in one table */
export function configView(part: Part | undefined): View<ConfigItem> {
  const kind: Column<ConfigItem> = {header: 'KIND', value: (item) => KINDS[item.part]}
  const named = part === undefined || ['services', 'workloads', 'policies'].includes(part)
  const columns = [...(named ? [NAMESPACE] : []), NAME, ...(part === undefined ? [SUMMARY] : COLUMNS[part])]
  return {
    columns: [NODE, ...(part === undefined ? [kind] : []), ...columns],
    name: (item) => `${KINDS[item.part].toLowerCase()}/${item.name}`,
    totals: ({items}) => count(items.length, 'object'),
  }
}

const KINDS: {readonly [P in Part]: string} = {
  services: 'Service',
  workloads: 'Workload',
  policies: 'Policy',
  listeners: 'Listener',
  clusters: 'Cluster',
  routes: 'Route',
}
