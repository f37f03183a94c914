// SPDX-License-Identifier: Apache-2.0
import {modeText} from '../model/backend.ts'
import type {VersionItem} from '../model/version.ts'
import type {View} from './formats.ts'

export const versionView: View<VersionItem> = {
  columns: [
    {header: 'COMPONENT', value: (item) => item.component},
    {header: 'NODE', value: (item) => item.node},
    {header: 'POD', value: (item) => item.pod, wide: true},
    {header: 'VERSION', value: (item) => item.version},
    {header: 'MODE', value: (item) => modeText(item.mode, item.backend)},
    {header: 'DIALECT', value: (item) => item.dialect},
    {header: 'COMMIT', value: (item) => item.commit, wide: true},
    {header: 'PLATFORM', value: (item) => item.platform, wide: true},
  ],
  name: (item) => (item.node === null ? 'client/kmeshctl' : `daemon/${item.pod ?? item.node}`),
}
