// SPDX-License-Identifier: Apache-2.0
/** The POST switches (contracts 1.5 to 1.7), with their misleading texts and their panics in kernel-native mode. */
import type {GoMode, Traits} from './dialects.ts'
import type {Answer} from './server.ts'

const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True']
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False']
const FEATURES: Readonly<Record<string, string>> = {
  '/accesslog': 'accesslog',
  '/workload_metrics': 'workload metrics',
  '/connection_metrics': 'connection metrics',
}

export interface Toggles {
  monitoring: boolean
}

export function answerToggle(
  traits: Traits,
  mode: GoMode,
  state: Toggles,
  method: string,
  path: string,
  typed: string,
): Answer {
  if (method !== 'POST') return {status: 405, text: 'Method Not Allowed\n', plain: true}
  const enable = TRUE.includes(typed)
  if (!enable && !FALSE.includes(typed)) {
    const said = path === '/monitoring' || path === '/authz' ? path.slice(1) : 'accesslog'
    return {status: 400, text: `invalid ${said} enable=${typed}`}
  }
  if (path === '/authz') return {status: 200, text: ''}
  const feature = FEATURES[path]
  if (mode === 'kernel-native') {
    return feature !== undefined && enable && traits.age >= 3 ? disabled(traits, feature) : 'drop'
  }
  if (path === '/monitoring') state.monitoring = enable
  else if (enable && !state.monitoring) return disabled(traits, feature ?? '')
  return {status: 200, text: ''}
}

function disabled(traits: Traits, feature: string): Answer {
  const word = traits.age === 2 ? 'disable' : 'disabled'
  return {status: 400, text: `Kmesh monitoring is ${word}, cannot enable ${feature}.\n`, plain: true}
}
