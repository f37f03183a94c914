// SPDX-License-Identifier: Apache-2.0
/** What daemons know: services, workloads, policies; listeners, clusters, routes in kernel-native mode. */
import type {DaemonMode} from '../model/api.ts'
import {
  ALL_PARTS,
  CONFIG_PARTS,
  type ConfigByPart,
  type ConfigPart,
  decodeConfig,
} from '../model/config-dump.ts'
import type {ConfigItem} from '../model/config-item.ts'
import {type Dialect, notSupported} from '../model/dialect.ts'
import {compareText, type Report} from '../model/report.ts'
import type {Admin} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import {type FoundDaemon, findDaemons} from './daemons.ts'
import {readDialect, requireMode} from './dialect.ts'
import {fanOut} from './fan-out.ts'

export interface ConfigRequest {
  /** Undefined: every part of the daemon's mode. */
  readonly part: ConfigPart | undefined
  /** Only objects of this namespace; parts without namespaces are left out. */
  readonly namespace: string | undefined
}

/**
 * Items by node, part, namespace and name, whatever the daemon's order.
 *
 * @param sink - gets each item as it comes; the report then holds none
 */
export async function dumpConfig(
  access: DaemonAccess,
  request: ConfigRequest,
  sink?: (item: ConfigItem) => Promise<void> | void,
): Promise<Report<ConfigItem>> {
  const {answers, errors, summary} = await fanOut(
    access,
    await findDaemons(access),
    async (admin, daemon) => {
      const items = await askConfig(access, admin, daemon, request)
      if (sink === undefined) return items
      for (const item of items) await sink(item)
      return []
    },
  )
  const items = answers.flatMap(({value}) => value).sort(byPlace)
  return {kind: 'ConfigItemList', summary, items, errors, warnings: []}
}

async function askConfig(
  {signal}: DaemonAccess,
  admin: Admin,
  {target}: FoundDaemon,
  {part, namespace}: ConfigRequest,
): Promise<readonly ConfigItem[]> {
  const dialect = await readDialect(admin, signal)
  const mode = await requireMode(admin, dialect, signal)
  const parts: readonly ConfigPart[] = CONFIG_PARTS[mode]
  if (part !== undefined) checkPart(dialect, mode, part)
  const path = dialect.row.configDump[mode]
  const dump = await admin.call('configDump', {path}, {signal})
  const config = decodeConfig(dump, mode, dialect.name !== 'v0.4.0')
  const place = {node: target.node, pod: target.pod?.name ?? null}
  return (part === undefined ? parts : [part])
    .flatMap((one) => itemsOf(config, one, place))
    .filter((item) => namespace === undefined || ('namespace' in item && item.namespace === namespace))
    .sort(byPlace)
}

function itemsOf(
  config: ConfigByPart,
  part: ConfigPart,
  place: Pick<ConfigItem, 'node' | 'pod'>,
): readonly ConfigItem[] {
  return config[part].map((object) => ({...place, part, ...object})) as unknown as readonly ConfigItem[]
}

function checkPart(dialect: Dialect, mode: DaemonMode, part: ConfigPart): void {
  const parts: readonly ConfigPart[] = CONFIG_PARTS[mode]
  if (!parts.includes(part))
    throw notSupported(dialect, `${part} in ${mode} mode (it has ${parts.join(', ')})`)
  // Before v1.1 the list is always null, which is not the same as none.
  const hasPolicies = !['v0.4.0', 'v0.5', 'v1.0'].includes(dialect.name)
  if (part === 'policies' && !hasPolicies) throw notSupported(dialect, 'policies in its config dump')
}

function byPlace(a: ConfigItem, b: ConfigItem): number {
  return (
    compareText(a.node, b.node) ||
    ALL_PARTS.indexOf(a.part) - ALL_PARTS.indexOf(b.part) ||
    compareText(namespaceOf(a), namespaceOf(b)) ||
    compareText(a.name, b.name)
  )
}

function namespaceOf(item: ConfigItem): string {
  return 'namespace' in item ? item.namespace : ''
}
