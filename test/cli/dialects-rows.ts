// SPDX-License-Identifier: Apache-2.0
/** The table: what every command that asks daemons says of each version and mode. */
import type {Row} from './dialects-row.ts'
import {CONFIG_ROWS} from './dialects-rows-config.ts'
import {DAEMON_ROWS, LOG_ROWS} from './dialects-rows-daemon.ts'
import {ENROLL_ROWS} from './dialects-rows-enroll.ts'
import {MAP_ROWS} from './dialects-rows-maps.ts'
import {TOGGLE_ROWS} from './dialects-rows-toggle.ts'

export const ROWS: readonly Row[] = [
  ...DAEMON_ROWS,
  ...LOG_ROWS,
  ...MAP_ROWS,
  ...CONFIG_ROWS,
  ...ENROLL_ROWS,
  ...TOGGLE_ROWS,
]
