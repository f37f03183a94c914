// SPDX-License-Identifier: Apache-2.0
/** Live view of a wait, drawn on stderr by Ink. Load it only when it is shown. */
import {Box, render, Text} from 'ink'
import {useSyncExternalStore} from 'react'
import type {PlanAction} from '../model/plan.ts'
import type {WaitProgress} from '../model/plan-progress.ts'
import {clean} from './text.ts'

export interface ProgressSource {
  get(): WaitProgress | undefined
  subscribe(listener: () => void): () => void
}

const BAR_WIDTH = 24
const NAMES_SHOWN = 5

/** Draws until the returned function is called, which takes the drawing away. */
export function showProgress(
  stream: NodeJS.WriteStream,
  action: PlanAction,
  source: ProgressSource,
): () => void {
  const view = render(<Progress action={action} source={source} />, {
    stdout: stream,
    patchConsole: false,
    exitOnCtrlC: false,
  })
  return () => {
    view.clear()
    view.unmount()
  }
}

function Progress({action, source}: {readonly action: PlanAction; readonly source: ProgressSource}) {
  const progress = useSyncExternalStore(source.subscribe, source.get)
  if (progress === undefined) return null
  const {total, reached, gone, pending, elapsedMs} = progress
  const filled = Math.round(((reached + gone) / Math.max(1, total)) * BAR_WIDTH)
  const done = action === 'enroll' ? 'captured' : 'released'
  return (
    <Box flexDirection="column">
      <Text>
        <Text color="green">{'#'.repeat(filled)}</Text>
        <Text dimColor>{'.'.repeat(BAR_WIDTH - filled)}</Text>
        {` ${reached}/${total} ${done}${gone > 0 ? `, ${gone} gone` : ''}  ${Math.floor(elapsedMs / 1000)} s`}
      </Text>
      {pending.slice(0, NAMES_SHOWN).map((name) => (
        <Text key={name} dimColor>{`  waiting for ${clean(name)}`}</Text>
      ))}
      {pending.length > NAMES_SHOWN && <Text dimColor>{`  and ${pending.length - NAMES_SHOWN} more`}</Text>}
    </Box>
  )
}
