// SPDX-License-Identifier: Apache-2.0
/**
 * Who may do what in the sandbox, from the manifests that a real cluster would get: the roles are the ones that
 * operators bind, so a rule that is missing there fails here first. Besides the bindings, a group named like a
 * role has it: `--as jane --as-group kmeshctl-view` tries a role out.
 */
import {parseAllDocuments} from 'yaml'
import type {Attributes, Authorize} from './api/authenticate.ts'

interface Rule {
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly verbs?: readonly string[]
}

interface Manifest {
  readonly kind?: string
  readonly metadata?: {readonly name?: string; readonly namespace?: string}
  readonly rules?: readonly Rule[]
  readonly roleRef?: {readonly kind?: string; readonly name?: string}
  readonly subjects?: readonly {readonly kind?: string; readonly name?: string; readonly namespace?: string}[]
}

/** A role as somebody holds it. */
interface Grant {
  /** User and group names that hold it. */
  readonly holders: readonly string[]
  /** undefined: everywhere. */
  readonly namespace: string | undefined
  readonly rules: readonly Rule[]
}

/** @param text manifests of roles and bindings; what else is in it is passed over */
export function authorizeBy(text: string): Authorize {
  const grants = grantsOf(parseAllDocuments(text).map((document) => (document.toJS() ?? {}) as Manifest))
  return (user, attributes) => {
    // Discovery and version are open to whoever has a certificate, as in Kubernetes.
    if (attributes.path !== '') return undefined
    const names = [user.name, ...user.groups]
    const held = grants.filter(
      ({holders, namespace}) =>
        (namespace === undefined || namespace === attributes.namespace) &&
        holders.some((holder) => names.includes(holder)),
    )
    return held.some(({rules}) => rules.some((rule) => allows(rule, attributes))) ? undefined : ''
  }
}

function grantsOf(manifests: readonly Manifest[]): Grant[] {
  const roles = manifests.filter(({kind}) => kind === 'ClusterRole' || kind === 'Role')
  const byGroup = roles.map(({metadata, rules}) => ({
    holders: [metadata?.name ?? ''],
    namespace: metadata?.namespace,
    rules: rules ?? [],
  }))
  const bindings = manifests.filter(({kind}) => kind === 'ClusterRoleBinding' || kind === 'RoleBinding')
  const bound = bindings.map(({metadata, roleRef, subjects}) => ({
    holders: (subjects ?? []).map((subject) =>
      subject.kind === 'ServiceAccount'
        ? `system:serviceaccount:${subject.namespace}:${subject.name}`
        : (subject.name ?? ''),
    ),
    namespace: metadata?.namespace,
    rules:
      roles.find(({kind, metadata: role}) => kind === roleRef?.kind && role?.name === roleRef?.name)?.rules ??
      [],
  }))
  return [...byGroup, ...bound]
}

function allows(rule: Rule, attributes: Attributes): boolean {
  const {group, resource, subresource, verb} = attributes
  const wanted = subresource === '' ? resource : `${resource}/${subresource}`
  return has(rule.apiGroups, group) && has(rule.resources, wanted) && has(rule.verbs, verb)
}

function has(list: readonly string[] | undefined, value: string): boolean {
  return list?.includes(value) === true || list?.includes('*') === true
}
