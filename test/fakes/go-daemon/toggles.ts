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

/** By path. */
export type Toggles = Map<string, boolean>

/** What a process starts with: authz is off at v1.0 and on since v1.1, access log and metrics are off. */
export function defaultToggles(traits: Traits): [string, boolean][] {
  return traits.toggles.map((path) => [path, path === '/monitoring' || (path === '/authz' && traits.age > 2)])
}

export interface ToggleRequest {
  readonly method: string
  readonly path: string
  readonly typed: string
  /** As builds after v1.2 do: GET tells the state. */
  readonly tells: boolean
}

export function answerToggle(traits: Traits, mode: GoMode, state: Toggles, request: ToggleRequest): Answer {
  const {method, path, typed, tells} = request
  if (tells && method === 'GET') return {status: 200, text: JSON.stringify({enabled: state.get(path)})}
  if (method !== 'POST') return {status: 405, text: 'Method Not Allowed\n', plain: true}
  const enable = TRUE.includes(typed)
  if (!enable && !FALSE.includes(typed)) {
    const said = path === '/monitoring' || path === '/authz' ? path.slice(1) : 'accesslog'
    return {status: 400, text: `invalid ${said} enable=${typed}`}
  }
  return mode === 'kernel-native' ? setNothing(traits, path, enable) : set(traits, state, path, enable)
}

function set(traits: Traits, state: Toggles, path: string, enable: boolean): Answer {
  const feature = FEATURES[path]
  if (feature !== undefined && enable && state.get('/monitoring') !== true) return disabled(traits, feature)
  state.set(path, enable)
  if (path === '/monitoring') for (const other of Object.keys(FEATURES)) state.set(other, enable)
  return {status: 200, text: ''}
}

/** There is no workload controller to switch: 200 for nothing, or a panic. */
function setNothing(traits: Traits, path: string, enable: boolean): Answer {
  if (path === '/authz') return {status: 200, text: ''}
  const feature = FEATURES[path]
  return feature !== undefined && enable && traits.age >= 3 ? disabled(traits, feature) : 'drop'
}

function disabled(traits: Traits, feature: string): Answer {
  const word = traits.age === 2 ? 'disable' : 'disabled'
  return {status: 400, text: `Kmesh monitoring is ${word}, cannot enable ${feature}.\n`, plain: true}
}
