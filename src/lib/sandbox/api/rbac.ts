// SPDX-License-Identifier: Apache-2.0
/** Who may do what, by the roles and bindings in the store: each change counts from the next request on. */
import type {Attributes, Authorize, User} from './authenticate.ts'
import {arrayOf, type Fields, fieldsOf, type StoredObject, textAt, textOf} from './object.ts'
import {resourceRow} from './resources.ts'
import type {Store} from './store.ts'

export interface HeldRules {
  readonly rules: readonly Fields[]
  /** Bindings that name a role that is not there. */
  readonly problems: readonly string[]
}

/** Asks the roles and bindings of `store`; a refusal names roles that are missing. */
export function rbacAuthorizer(store: Store): Authorize {
  return (user, attributes) => {
    const {rules, problems} = heldRules(store, user, attributes.namespace)
    if (rules.some((rule) => allows(rule, attributes))) return undefined
    if (problems.length === 0) return ''
    return `RBAC: ${problems.length === 1 ? problems[0] : `[${problems.join(', ')}]`}`
  }
}

/** All rules that hold for a user in a namespace; `''` asks for those of the whole cluster only. */
export function heldRules(store: Store, user: User, namespace: string): HeldRules {
  const bindings = [
    ...store.values(resourceRow('clusterrolebindings')),
    ...[...store.values(resourceRow('rolebindings'))].filter(
      ({metadata}) => namespace !== '' && metadata.namespace === namespace,
    ),
  ]
  const rules: Fields[] = []
  const problems: string[] = []
  for (const binding of bindings) {
    if (!arrayOf(binding['subjects']).some((subject) => isSubject(fieldsOf(subject), user))) continue
    const role = roleOf(store, binding)
    if (role !== undefined) rules.push(...arrayOf(role['rules']).map(fieldsOf))
    else
      problems.push(
        `${textAt(binding, 'roleRef.kind').toLowerCase()}.rbac.authorization.k8s.io "${textAt(binding, 'roleRef.name')}" not found`,
      )
  }
  return {rules, problems}
}

function roleOf(store: Store, binding: StoredObject): StoredObject | undefined {
  const name = textAt(binding, 'roleRef.name')
  if (textAt(binding, 'roleRef.kind') === 'ClusterRole')
    return store.get(resourceRow('clusterroles'), '', name)
  return store.get(resourceRow('roles'), binding.metadata.namespace ?? '', name)
}

function isSubject(subject: Fields, user: User): boolean {
  const name = textOf(subject['name'])
  if (subject['kind'] === 'User') return user.name === name
  if (subject['kind'] === 'Group') return user.groups.includes(name)
  return user.name === `system:serviceaccount:${textOf(subject['namespace'])}:${name}`
}

function allows(rule: Fields, attributes: Attributes): boolean {
  const {verb, group, resource, subresource, name, path} = attributes
  if (!has(rule['verbs'], verb)) return false
  if (path !== '')
    return arrayOf(rule['nonResourceURLs']).some((pattern) => matchesPath(textOf(pattern), path))
  if (!has(rule['apiGroups'], group)) return false
  const wanted = subresource === '' ? resource : `${resource}/${subresource}`
  const isNamed = has(rule['resources'], wanted) || arrayOf(rule['resources']).includes(`*/${subresource}`)
  const names = arrayOf(rule['resourceNames'])
  return isNamed && (names.length === 0 || (name !== '' && names.includes(name)))
}

function has(list: unknown, value: string): boolean {
  const values = arrayOf(list)
  return values.includes('*') || values.includes(value)
}

/** An asterisk stands for the rest, at the end only. */
function matchesPath(pattern: string, path: string): boolean {
  return pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : pattern === path
}
