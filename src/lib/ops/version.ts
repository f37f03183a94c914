// SPDX-License-Identifier: Apache-2.0
import {backendOf} from '../model/backend.ts'
import {shownVersion} from '../model/dialect.ts'
import type {Report} from '../model/report.ts'
import type {VersionItem} from '../model/version.ts'
import type {DaemonAccess} from './access.ts'
import {findDaemons} from './daemons.ts'
import {readDialect, readMode} from './dialect.ts'
import {fanOut} from './fan-out.ts'

/** Version of the client, then of each daemon; without `access` of the client only. */
export async function readVersions(
  client: {readonly version: string; readonly platform: string},
  access: DaemonAccess | undefined,
): Promise<Report<VersionItem>> {
  const own: VersionItem = {
    ...UNKNOWN,
    component: 'client',
    version: client.version,
    platform: client.platform,
  }
  const report = {kind: 'VersionList', warnings: []}
  if (access === undefined) {
    return {...report, summary: {requested: 0, ok: 0, failed: 0, skipped: 0}, items: [own], errors: []}
  }
  const {answers, errors, summary} = await fanOut(access, await findDaemons(access), async (admin) => {
    const dialect = await readDialect(admin, access.signal)
    return {dialect, mode: await readMode(admin, dialect, access.signal)}
  })
  const items = answers.map(
    ({daemon, value: {dialect, mode}}): VersionItem => ({
      component: 'daemon',
      node: daemon.target.node,
      pod: daemon.target.pod?.name ?? null,
      version: shownVersion(dialect),
      commit: dialect.version?.gitCommit ?? null,
      platform: dialect.version?.platform ?? null,
      mode,
      backend: backendOf(dialect.version),
      dialect: dialect.name === 'own' ? 'kmeshctl' : dialect.name,
      capabilities: dialect.capabilities,
    }),
  )
  return {...report, summary, items: [own, ...items], errors}
}

const UNKNOWN = {
  node: null,
  pod: null,
  commit: null,
  mode: null,
  backend: null,
  dialect: null,
  capabilities: [],
} as const
