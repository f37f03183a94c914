// SPDX-License-Identifier: Apache-2.0
/** Questions about rights and identities: they are answered, never kept. */
import type {Attributes, Authorize, User} from './authenticate.ts'
import {isMaster} from './authenticate.ts'
import {arrayOf, type Fields, fieldsOf, textOf} from './object.ts'
import {heldRules} from './rbac.ts'
import {badRequest} from './status.ts'
import type {Store} from './store.ts'
import {isForApi, type Tokens} from './tokens.ts'

export interface ReviewContext {
  readonly store: Store
  readonly tokens: Tokens
  readonly authorize: Authorize
}

/**
 * The review with its status.
 * @param namespace of the path, for a LocalSubjectAccessReview
 * @throws StatusError 400
 */
export function reviewed(context: ReviewContext, user: User, namespace: string, review: Fields): Fields {
  const spec = fieldsOf(review['spec'])
  const answered = (status: Fields): Fields => ({...review, metadata: fieldsOf(review['metadata']), status})
  switch (review['kind']) {
    case 'SelfSubjectReview':
      return answered({userInfo: userInfo(user)})
    case 'TokenReview':
      return answered(tokenStatus(context, spec))
    case 'SelfSubjectRulesReview':
      return answered(rulesStatus(context, user, textOf(spec['namespace'])))
    case 'SelfSubjectAccessReview':
      return answered(accessStatus(context, user, attributesOf(spec)))
    default:
      return answered(accessStatus(context, asked(spec), attributesOf(spec, namespace)))
  }
}

function userInfo(user: User): Fields {
  return {username: user.name, groups: user.groups}
}

function asked(spec: Fields): User {
  const groups = arrayOf(spec['groups']).filter((group) => typeof group === 'string')
  const name = textOf(spec['user'])
  if (name === '' && groups.length === 0)
    throw badRequest('spec.user: Invalid value: at least one of user or group must be specified')
  return {name, groups}
}

function attributesOf(spec: Fields, local = ''): Attributes {
  const about = fieldsOf(spec['resourceAttributes'])
  const plain = fieldsOf(spec['nonResourceAttributes'])
  const isPlain = spec['nonResourceAttributes'] !== undefined
  if (isPlain === (spec['resourceAttributes'] !== undefined))
    throw badRequest(
      'spec: Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified',
    )
  const namespace = textOf(about['namespace'])
  if (local !== '' && namespace !== local)
    throw badRequest('spec.resourceAttributes.namespace: Invalid value: must match metadata.namespace')
  return {
    verb: textOf((isPlain ? plain : about)['verb']),
    group: textOf(about['group']),
    resource: textOf(about['resource']),
    subresource: textOf(about['subresource']),
    namespace,
    name: textOf(about['name']),
    path: textOf(plain['path']),
  }
}

function accessStatus(context: ReviewContext, user: User, attributes: Attributes): Fields {
  const why = isMaster(user) ? undefined : context.authorize(user, attributes)
  return why === undefined ? {allowed: true} : {allowed: false, ...(why ? {reason: why} : {})}
}

function rulesStatus(context: ReviewContext, user: User, namespace: string): Fields {
  const {rules, problems} = heldRules(context.store, user, namespace)
  const about = rules.filter((rule) => rule['nonResourceURLs'] === undefined)
  return {
    resourceRules: about.map(({verbs, apiGroups, resources, resourceNames}) => ({
      verbs,
      apiGroups,
      resources,
      ...(resourceNames === undefined ? {} : {resourceNames}),
    })),
    nonResourceRules: rules
      .filter((rule) => rule['nonResourceURLs'] !== undefined)
      .map(({verbs, nonResourceURLs}) => ({verbs, nonResourceURLs})),
    incomplete: problems.length > 0,
    ...(problems.length > 0 ? {evaluationError: problems.join(', ')} : {}),
  }
}

function tokenStatus(context: ReviewContext, spec: Fields): Fields {
  const owner = context.tokens.owner(textOf(spec['token']))
  const audiences = arrayOf(spec['audiences'])
  const shared = owner?.audiences.filter((audience) => audiences.includes(audience)) ?? []
  const isMeant = owner !== undefined && (audiences.length === 0 ? isForApi(owner) : shared.length > 0)
  if (!isMeant) return {authenticated: false, user: {}, error: 'the token is not valid'}
  return {
    authenticated: true,
    user: userInfo(owner.user),
    audiences: audiences.length === 0 ? owner.audiences : shared,
  }
}
