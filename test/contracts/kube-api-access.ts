// SPDX-License-Identifier: Apache-2.0
/** The contract's part on accounts, rights and custom resources; see kube-api.ts. */
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import type {Target} from './kube-api.ts'
import {type Access, call, type Json, watch} from './kube-api-client.ts'

const MERGE = {type: 'application/merge-patch+json'}
const RBAC = 'rbac.authorization.k8s.io'
const GROUP = 'contract.example.com'

/** A definition with what those of Istio and the Gateway API have. */
export function widgetDefinition(): Json {
  const spec = {
    type: 'object',
    required: ['size'],
    properties: {
      size: {type: 'integer', minimum: 1},
      color: {type: 'string', enum: ['red', 'blue'], default: 'red'},
      hosts: {type: 'array', items: {type: 'string', pattern: '^[a-z.]+$'}},
      port: {'x-kubernetes-int-or-string': true},
      free: {type: 'object', 'x-kubernetes-preserve-unknown-fields': true},
    },
    oneOf: [
      {not: {anyOf: [{required: ['hosts']}, {required: ['port']}]}},
      {required: ['hosts']},
      {required: ['port']},
    ],
  }
  const version = (name: string, storage: boolean): Json => ({
    name,
    served: true,
    storage,
    subresources: {status: {}},
    additionalPrinterColumns: [
      {name: 'Size', type: 'integer', jsonPath: '.spec.size'},
      {name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status'},
    ],
    schema: {
      openAPIV3Schema: {
        type: 'object',
        properties: {spec, status: {type: 'object', 'x-kubernetes-preserve-unknown-fields': true}},
      },
    },
  })
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {name: `widgets.${GROUP}`},
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {plural: 'widgets', kind: 'Widget', shortNames: ['wd'], categories: ['things']},
      versions: [version('v1', true), version('v1beta1', false)],
    },
  }
}

export function kubeAccessContract(name: string, start: () => Promise<Target>): void {
  suite(`Kubernetes API contract, accounts and custom resources: ${name}`, () => {
    const namespace = `contract-access-${process.pid}`
    const core = `/api/v1/namespaces/${namespace}`
    const rbac = `/apis/${RBAC}/v1`
    const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
    const widgets = (version = 'v1') => `/apis/${GROUP}/${version}/namespaces/${namespace}/widgets`
    let target: Target
    const request = (method: string, path: string, body?: unknown, options = {}) =>
      call(target, method, path, body, options)
    const create = async (path: string, body: Json): Promise<Json> => {
      const answer = await request('POST', path, body)
      assert.equal(answer.status, 201, answer.text)
      return answer.body
    }
    const widget = (spec: object, version = 'v1', metadata: object = {name: 'one'}): Json => ({
      apiVersion: `${GROUP}/${version}`,
      kind: 'Widget',
      metadata,
      spec,
    })
    const account = async (who: string): Promise<Access & {readonly token: string}> => {
      await create(`${core}/serviceaccounts`, {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: {name: who},
      })
      const made = await create(`${core}/serviceaccounts/${who}/token`, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {expirationSeconds: 600},
      })
      return {server: target.server, authorityPem: target.authorityPem, token: made.status.token}
    }
    const as = ({token}: {token: string}): object => ({headers: {authorization: `Bearer ${token}`}})

    before(async () => {
      target = await start()
      await create('/api/v1/namespaces', {apiVersion: 'v1', kind: 'Namespace', metadata: {name: namespace}})
      await create(definitions, widgetDefinition())
      for (let tries = 0; tries < 100 && (await request('GET', widgets())).status !== 200; tries += 1)
        await sleep(50)
    })
    after(async () => {
      await request('DELETE', `${definitions}/widgets.${GROUP}`)
      await request('DELETE', `/api/v1/namespaces/${namespace}`)
      await target.close()
    })

    test('a definition is established and its resources are discovered', async () => {
      const {status} = (await request('GET', `${definitions}/widgets.${GROUP}`)).body
      assert.deepEqual(status.storedVersions, ['v1'])
      const established = status.conditions.find((one: Json) => one.type === 'Established')
      assert.equal(established.status, 'True')
      const group = (await request('GET', `/apis/${GROUP}`)).body
      assert.equal(group.preferredVersion.version, 'v1')
      assert.deepEqual(
        group.versions.map((one: Json) => one.version),
        ['v1', 'v1beta1'],
      )
      const {resources} = (await request('GET', `/apis/${GROUP}/v1beta1`)).body
      assert.deepEqual(
        resources.map((one: Json) => one.name),
        ['widgets', 'widgets/status'],
      )
      assert.equal(resources[0].kind, 'Widget')
    })

    test('custom objects: defaults, unknown fields pruned, every version shows them', async () => {
      const made = await create(widgets(), widget({size: 1, typo: true, free: {any: [1]}}))
      assert.deepEqual(made.spec, {size: 1, color: 'red', free: {any: [1]}})
      assert.equal(made.metadata.generation, 1)
      const beta = (await request('GET', `${widgets('v1beta1')}/one`)).body
      assert.deepEqual([beta.apiVersion, beta.spec.size], [`${GROUP}/v1beta1`, 1])
      const strict = await request('POST', `${widgets()}?fieldValidation=Strict`, widget({size: 1, typo: 1}))
      assert.equal(strict.status, 400)
      assert.match(strict.body.message, /unknown field "spec\.typo"/)
    })

    test('custom objects that do not fit their schema are 422 with the field', async () => {
      for (const [spec, field, reason] of [
        [{}, 'spec.size', 'FieldValueRequired'],
        [{size: 'big'}, 'spec.size', 'FieldValueTypeInvalid'],
        [{size: 0}, 'spec.size', 'FieldValueInvalid'],
        [{size: 1, color: 'green'}, 'spec.color', 'FieldValueNotSupported'],
        [{size: 1, hosts: ['UP']}, 'spec.hosts[0]', 'FieldValueInvalid'],
        [{size: 1, port: true}, 'spec.port', 'FieldValueTypeInvalid'],
      ] as const) {
        const answer = await request('POST', widgets(), widget(spec, 'v1', {name: 'bad'}))
        assert.equal(answer.status, 422, answer.text)
        const found = answer.body.details.causes.find((one: Json) => one.field === field)
        assert.equal(found?.reason, reason, answer.text)
      }
      // kube-apiserver names no field here.
      const both = widget({size: 1, port: 80, hosts: ['a']}, 'v1', {name: 'bad'})
      const answer = await request('POST', widgets(), both)
      assert.equal(answer.status, 422)
      assert.match(answer.body.details.causes[0].message, /must validate one and only one schema \(oneOf\)/)
    })

    test('status is a subresource; merge patch works, strategic merge is 415; tables have the columns', async () => {
      await create(widgets(), widget({size: 2}, 'v1', {name: 'two'}))
      const status = {conditions: [{type: 'Ready', status: 'True'}]}
      const ignored = (await request('PATCH', `${widgets()}/two`, {spec: {size: 3}, status}, MERGE)).body
      assert.deepEqual([ignored.spec.size, ignored.status, ignored.metadata.generation], [3, undefined, 2])
      const set = (await request('PATCH', `${widgets()}/two/status`, {spec: {size: 9}, status}, MERGE)).body
      assert.deepEqual([set.spec.size, set.status, set.metadata.generation], [3, status, 2])
      const strategic = {type: 'application/strategic-merge-patch+json'}
      assert.equal((await request('PATCH', `${widgets()}/two`, {}, strategic)).status, 415)
      const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io'
      const table = (await request('GET', `${widgets()}/two`, undefined, {accept})).body
      assert.deepEqual(table.rows[0].cells, ['two', 3, 'True'])
    })

    test('a definition that is deleted takes its objects and paths along; watches end', async () => {
      const body = widgetDefinition()
      const plural = 'gadgets'
      const definition = {
        ...body,
        metadata: {name: `${plural}.${GROUP}`},
        spec: {...body.spec, names: {plural, kind: 'Gadget'}, scope: 'Cluster'},
      }
      await create(definitions, definition)
      const path = `/apis/${GROUP}/v1/${plural}`
      for (let tries = 0; tries < 100 && (await request('GET', path)).status !== 200; tries += 1)
        await sleep(50)
      await create(path, {...widget({size: 1}), kind: 'Gadget'})
      const events = await watch(target, `${path}?watch=1`)
      assert.equal((await events.next()).type, 'ADDED')
      await request('DELETE', `${definitions}/${plural}.${GROUP}`)
      assert.equal((await events.next()).type, 'DELETED')
      assert.equal(await events.next(), undefined)
      assert.equal((await request('GET', path)).status, 404)
      assert.equal((await request('GET', `${definitions}/${plural}.${GROUP}`)).status, 404)
    })

    test('broken definitions are 422', async () => {
      const body = widgetDefinition()
      const named = (metadata: object, spec: object): Json => ({
        ...body,
        metadata,
        spec: {...body.spec, ...spec},
      })
      for (const [definition, field] of [
        [named({name: 'other.contract.example.com'}, {}), 'metadata.name'],
        [named({name: `widgets.${GROUP}`}, {scope: 'Galaxy'}), 'spec.scope'],
        [named({name: `widgets.${GROUP}`}, {versions: []}), 'spec.versions'],
      ] as const) {
        const answer = await request('POST', definitions, definition)
        assert.equal(answer.status, 422, answer.text)
        assert.ok(
          answer.body.details.causes.some((one: Json) => one.field === field),
          answer.text,
        )
      }
    })

    test('secrets: stringData becomes data, base64 is checked, the type stays', async () => {
      const secret = (more: object): Json => ({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: {name: 's'},
        ...more,
      })
      const made = await create(`${core}/secrets`, secret({data: {a: 'YQ=='}, stringData: {b: 'b'}}))
      assert.deepEqual([made.data, made.type, made.stringData], [{a: 'YQ==', b: 'Yg=='}, 'Opaque', undefined])
      const broken = await request('POST', `${core}/secrets`, secret({data: {a: 'not base64'}}))
      assert.equal(broken.status, 400)
      assert.doesNotMatch(broken.text, /not base64/)
      const tls = await request(
        'POST',
        `${core}/secrets`,
        secret({metadata: {name: 't'}, type: 'kubernetes.io/tls'}),
      )
      assert.equal(tls.body.details.causes[0].field, 'data[tls.crt]')
      assert.equal((await request('PATCH', `${core}/secrets/s`, {type: 'other'}, MERGE)).status, 422)
    })

    test('leases keep their holder and times', async () => {
      const spec = {holderIdentity: 'me', leaseDurationSeconds: 15, renewTime: '2026-01-02T03:04:05.678901Z'}
      const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`
      const lease = {apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: {name: 'l'}, spec}
      assert.deepEqual((await create(path, lease)).spec, spec)
    })

    test('a token is its account, until the account is gone; others are 401', async () => {
      const rita = await account('rita')
      const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
      const review = {apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview'}
      const {userInfo} = (await call(rita, 'POST', path, review, as(rita))).body.status
      assert.equal(userInfo.username, `system:serviceaccount:${namespace}:rita`)
      assert.deepEqual(userInfo.groups, [
        'system:serviceaccounts',
        `system:serviceaccounts:${namespace}`,
        'system:authenticated',
      ])
      const [header, payload, signature] = rita.token.split('.')
      for (const token of ['nonsense', `${header}.${payload}.`, `${header}.${payload}x.${signature}`])
        assert.equal((await call(rita, 'POST', path, review, as({token}))).status, 401, token)
      await request('DELETE', `${core}/serviceaccounts/rita`)
      // kube-apiserver remembers for 10 s that a token was good.
      const end = Date.now() + 15_000
      const ask = async (): Promise<number> => (await call(rita, 'POST', path, review, as(rita))).status
      while ((await ask()) !== 401 && Date.now() < end) await sleep(200)
      assert.equal(await ask(), 401)
    })

    test('without a role everything is 403; roles count by verb, name and subresource', async () => {
      const sam = await account('sam')
      const may = async (method: string, path: string, body?: unknown): Promise<number> =>
        (await call(sam, method, path, body, as(sam))).status
      const refused = await call(sam, 'GET', `${core}/configmaps`, undefined, as(sam))
      assert.equal(refused.status, 403)
      assert.equal(
        refused.body.message,
        `configmaps is forbidden: User "system:serviceaccount:${namespace}:sam" cannot list resource "configmaps" in API group "" in the namespace "${namespace}"`,
      )
      const roles = `${rbac}/namespaces/${namespace}`
      const rules = [
        {apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list'], resourceNames: ['mine']},
        {apiGroups: [GROUP], resources: ['widgets/status'], verbs: ['get']},
      ]
      await create(`${roles}/roles`, {apiVersion: `${RBAC}/v1`, kind: 'Role', metadata: {name: 'r'}, rules})
      await create(`${roles}/rolebindings`, {
        apiVersion: `${RBAC}/v1`,
        kind: 'RoleBinding',
        metadata: {name: 'r'},
        roleRef: {apiGroup: RBAC, kind: 'Role', name: 'r'},
        subjects: [{kind: 'ServiceAccount', name: 'sam', namespace}],
      })
      for (let tries = 0; tries < 100 && (await may('GET', `${core}/configmaps/mine`)) === 403; tries += 1)
        await sleep(50)
      assert.equal(await may('GET', `${core}/configmaps/mine`), 404)
      assert.equal(await may('GET', `${core}/configmaps/other`), 403)
      assert.equal(await may('GET', `${core}/configmaps`), 403)
      assert.equal(await may('GET', `${core}/configmaps?fieldSelector=metadata.name%3Dmine`), 200)
      assert.equal(await may('DELETE', `${core}/configmaps/mine`), 403)
      assert.equal(await may('GET', '/api/v1/configmaps'), 403)
      assert.equal(await may('GET', `${widgets()}/none/status`), 404)
      assert.equal(await may('GET', `${widgets()}/none`), 403)
      assert.equal(await may('GET', '/version'), 200)
      assert.equal(await may('GET', '/metrics'), 403)
    })

    test('access reviews answer for oneself and for others', async () => {
      const path = '/apis/authorization.k8s.io/v1'
      const review = (kind: string, spec: object): Json => ({
        apiVersion: 'authorization.k8s.io/v1',
        kind,
        spec: {...spec, resourceAttributes: {verb: 'delete', resource: 'pods', namespace}},
      })
      const mine = await create(`${path}/selfsubjectaccessreviews`, review('SelfSubjectAccessReview', {}))
      assert.equal(mine.status.allowed, true)
      const other = await create(
        `${path}/subjectaccessreviews`,
        review('SubjectAccessReview', {user: 'nobody', groups: ['system:authenticated']}),
      )
      assert.equal(other.status.allowed, false)
      assert.equal((await request('GET', `${path}/subjectaccessreviews`)).status, 405)
    })

    test('a binding keeps its role', async () => {
      const binding = (name: string): Json => ({
        apiVersion: `${RBAC}/v1`,
        kind: 'ClusterRoleBinding',
        metadata: {name: `contract-${process.pid}`},
        roleRef: {apiGroup: RBAC, kind: 'ClusterRole', name},
        subjects: [{kind: 'User', name: 'nobody'}],
      })
      const made = await create(`${rbac}/clusterrolebindings`, binding('view'))
      assert.equal(made.subjects[0].apiGroup, RBAC)
      const path = `${rbac}/clusterrolebindings/${made.metadata.name}`
      assert.equal((await request('PUT', path, binding('edit'))).status, 422)
      await request('DELETE', path)
    })
  })
}
