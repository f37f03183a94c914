// SPDX-License-Identifier: Apache-2.0
/**
 * What Kubernetes documents of its API and we rely on, as tests that any API server must pass: the sandbox's own, and
 * a real kube-apiserver (without controllers and nodes; admission plugin ServiceAccount off).
 */
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {type Access, call, type Json, watch} from './kube-api-client.ts'

export interface Target extends Access {
  close(): Promise<void>
}

const MERGE = {type: 'application/merge-patch+json'}
const JSON_PATCH = {type: 'application/json-patch+json'}

export function kubeApiContract(name: string, start: () => Promise<Target>): void {
  suite(`Kubernetes API contract: ${name}`, () => {
    const namespace = `contract-${process.pid}`
    const base = `/api/v1/namespaces/${namespace}`
    let target: Target
    const request = (method: string, path: string, body?: unknown, options = {}) =>
      call(target, method, path, body, options)
    const configMap = (metadata: object, data: object = {}): Json => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data,
    })
    const create = async (body: Json): Promise<Json> => {
      const answer = await request('POST', `${base}/configmaps`, body)
      assert.equal(answer.status, 201, answer.text)
      return answer.body
    }

    before(async () => {
      target = await start()
      const made = await request('POST', '/api/v1/namespaces', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: {name: namespace},
      })
      assert.equal(made.status, 201, made.text)
    })
    after(async () => {
      await request('DELETE', `/api/v1/namespaces/${namespace}`)
      await target.close()
    })

    test('version and discovery tell what kubectl needs', async () => {
      const version = (await request('GET', '/version')).body
      assert.match(version.gitVersion, /^v1\.\d+\.\d+/)
      assert.equal(version.major, '1')
      assert.deepEqual((await request('GET', '/api')).body.versions, ['v1'])
      const groups = (await request('GET', '/apis')).body.groups.map((group: Json) => group.name)
      for (const group of ['apps', 'discovery.k8s.io']) assert.ok(groups.includes(group), group)
      const core = (await request('GET', '/api/v1')).body
      const pods = core.resources.find((one: Json) => one.name === 'pods')
      assert.equal(pods.kind, 'Pod')
      assert.equal(pods.singularName, 'pod')
      assert.equal(pods.namespaced, true)
      assert.deepEqual(pods.shortNames, ['po'])
      assert.deepEqual(pods.categories, ['all'])
      assert.deepEqual([...pods.verbs].sort(), [
        'create',
        'delete',
        'deletecollection',
        'get',
        'list',
        'patch',
        'update',
        'watch',
      ])
      const apps = (await request('GET', '/apis/apps/v1')).body
      const scale = apps.resources.find((one: Json) => one.name === 'deployments/scale')
      assert.deepEqual([scale.group, scale.version, scale.kind], ['autoscaling', 'v1', 'Scale'])
    })

    test('health endpoints answer ok', async () => {
      for (const path of ['/healthz', '/livez', '/readyz'])
        assert.equal((await request('GET', path)).text, 'ok')
    })

    test('unknown paths are 404 with a Status', async () => {
      for (const path of ['/apis/example.com/v1', `${base}/widgets`, '/api/v2', '/nothing']) {
        const answer = await request('GET', path)
        assert.equal(answer.status, 404, path)
      }
    })

    test('create sets what the server owns; get gives the same', async () => {
      const made = await create(configMap({name: 'made', labels: {a: 'b'}}, {key: 'value'}))
      assert.match(made.metadata.uid, /^[0-9a-f-]{36}$/)
      assert.match(made.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      assert.match(made.metadata.resourceVersion, /^[1-9]\d*$/)
      assert.equal(made.metadata.namespace, namespace)
      const got = await request('GET', `${base}/configmaps/made`)
      assert.equal(got.status, 200)
      assert.deepEqual(got.body, made)
    })

    test('generateName makes different names with the prefix', async () => {
      const [first, second] = [
        await create(configMap({generateName: 'gen-'})),
        await create(configMap({generateName: 'gen-'})),
      ]
      assert.match(first.metadata.name, /^gen-[a-z0-9]{5}$/)
      assert.notEqual(first.metadata.name, second.metadata.name)
    })

    test('failures are Status objects with reason and details', async () => {
      await create(configMap({name: 'twice'}))
      const twice = await request('POST', `${base}/configmaps`, configMap({name: 'twice'}))
      assert.equal(twice.status, 409)
      assert.equal(twice.body.kind, 'Status')
      assert.equal(twice.body.status, 'Failure')
      assert.equal(twice.body.reason, 'AlreadyExists')
      assert.equal(twice.body.message, 'configmaps "twice" already exists')
      const none = await request('GET', `${base}/configmaps/none`)
      assert.equal(none.status, 404)
      assert.equal(none.body.reason, 'NotFound')
      assert.equal(none.body.message, 'configmaps "none" not found')
      assert.deepEqual(none.body.details, {name: 'none', kind: 'configmaps'})
      const noSpace = await request('POST', '/api/v1/namespaces/missing/configmaps', configMap({name: 'x'}))
      assert.equal(noSpace.status, 404)
      assert.equal(noSpace.body.message, 'namespaces "missing" not found')
    })

    test('broken bodies are refused: 400, 415', async () => {
      assert.equal((await request('POST', `${base}/configmaps`, '{"kind":')).status, 400)
      const wrongKind = {apiVersion: 'v1', kind: 'Service', metadata: {name: 'x'}}
      assert.equal((await request('POST', `${base}/configmaps`, wrongKind)).status, 400)
      assert.equal(
        (await request('POST', `${base}/configmaps`, configMap({name: 'x', labels: {a: 1}}))).status,
        400,
      )
      assert.equal((await request('POST', `${base}/configmaps`, 'x', {type: 'text/csv'})).status, 415)
    })

    test('names and labels are checked: 422 with the field', async () => {
      const name = await request('POST', `${base}/configmaps`, configMap({name: 'Upper_Case'}))
      assert.equal(name.status, 422)
      assert.equal(name.body.reason, 'Invalid')
      assert.equal(name.body.details.causes[0].field, 'metadata.name')
      assert.equal(name.body.details.causes[0].reason, 'FieldValueInvalid')
      assert.match(
        name.body.message,
        /^ConfigMap "Upper_Case" is invalid: metadata\.name: Invalid value: "Upper_Case": /,
      )
      const none = await request('POST', `${base}/configmaps`, configMap({}))
      assert.equal(none.status, 422)
      assert.match(none.body.message, /metadata\.name: Required value: name or generateName is required/)
      const label = await request(
        'POST',
        `${base}/configmaps`,
        configMap({name: 'ok', labels: {a: 'not valid'}}),
      )
      assert.equal(label.status, 422)
      assert.equal(label.body.details.causes[0].field, 'metadata.labels')
    })

    test('update replaces, and refuses an old resourceVersion', async () => {
      const made = await create(configMap({name: 'update'}, {a: '1'}))
      const changed = await request('PUT', `${base}/configmaps/update`, {...made, data: {b: '2'}})
      assert.equal(changed.status, 200)
      assert.deepEqual(changed.body.data, {b: '2'})
      assert.notEqual(changed.body.metadata.resourceVersion, made.metadata.resourceVersion)
      const stale = await request('PUT', `${base}/configmaps/update`, {...made, data: {c: '3'}})
      assert.equal(stale.status, 409)
      assert.equal(stale.body.reason, 'Conflict')
      assert.equal(
        stale.body.message,
        'Operation cannot be fulfilled on configmaps "update": the object has been modified; please apply your changes to the latest version and try again',
      )
    })

    test('an update that changes nothing keeps the resourceVersion', async () => {
      const made = await create(configMap({name: 'same'}, {a: '1'}))
      const again = await request('PUT', `${base}/configmaps/same`, made)
      assert.equal(again.body.metadata.resourceVersion, made.metadata.resourceVersion)
    })

    test('uid and name cannot be changed', async () => {
      const made = await create(configMap({name: 'fixed'}))
      const other = {...made, metadata: {...made.metadata, uid: '00000000-0000-0000-0000-000000000000'}}
      assert.equal((await request('PUT', `${base}/configmaps/fixed`, other)).status, 409)
      const renamed = {...made, metadata: {...made.metadata, name: 'other'}}
      assert.equal((await request('PUT', `${base}/configmaps/fixed`, renamed)).status, 400)
    })

    test('merge patch: sets, removes by null, refuses an old resourceVersion', async () => {
      const made = await create(configMap({name: 'merge', labels: {a: '1', b: '2'}}))
      const patch = {metadata: {labels: {a: null, c: '3'}, resourceVersion: made.metadata.resourceVersion}}
      const patched = await request('PATCH', `${base}/configmaps/merge?fieldManager=tester`, patch, MERGE)
      assert.equal(patched.status, 200, patched.text)
      assert.deepEqual(patched.body.metadata.labels, {b: '2', c: '3'})
      const stale = await request('PATCH', `${base}/configmaps/merge`, patch, MERGE)
      assert.equal(stale.status, 409)
      assert.equal(stale.body.reason, 'Conflict')
      const owner = patched.body.metadata.managedFields.find((entry: Json) => entry.manager === 'tester')
      assert.equal(owner.operation, 'Update')
      assert.ok('f:c' in owner.fieldsV1['f:metadata']['f:labels'])
    })

    test('JSON patch: applied in order; a failing test is 422', async () => {
      await create(configMap({name: 'json'}, {a: '1'}))
      const patch = [
        {op: 'test', path: '/data/a', value: '1'},
        {op: 'replace', path: '/data/a', value: '2'},
        {op: 'add', path: '/metadata/annotations', value: {}},
        {op: 'add', path: '/metadata/annotations/example.com~1c', value: '3'},
      ]
      const patched = await request('PATCH', `${base}/configmaps/json`, patch, JSON_PATCH)
      assert.equal(patched.status, 200, patched.text)
      assert.deepEqual(patched.body.data, {a: '2'})
      assert.deepEqual(patched.body.metadata.annotations, {'example.com/c': '3'})
      const refused = await request('PATCH', `${base}/configmaps/json`, patch, JSON_PATCH)
      assert.equal(refused.status, 422)
    })

    test('strategic merge patch merges containers by name', async () => {
      const spec = {
        selector: {matchLabels: {app: 'strategic'}},
        template: {
          metadata: {labels: {app: 'strategic'}},
          spec: {
            containers: [
              {name: 'one', image: 'a'},
              {name: 'two', image: 'b'},
            ],
          },
        },
      }
      const path = `/apis/apps/v1/namespaces/${namespace}/deployments`
      const made = await request('POST', path, {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: {name: 'strategic'},
        spec,
      })
      assert.equal(made.status, 201, made.text)
      const patch = {spec: {template: {spec: {containers: [{name: 'two', image: 'c'}]}}}}
      const type = 'application/strategic-merge-patch+json'
      const patched = await request('PATCH', `${path}/strategic`, patch, {type})
      const images = patched.body.spec.template.spec.containers.map((one: Json) => `${one.name}=${one.image}`)
      assert.deepEqual(images.sort(), ['one=a', 'two=c'])
    })

    test('dryRun=All answers as if it was done, and does nothing', async () => {
      const dry = await request('POST', `${base}/configmaps?dryRun=All`, configMap({name: 'dry'}))
      assert.equal(dry.status, 201)
      assert.equal((await request('GET', `${base}/configmaps/dry`)).status, 404)
      await create(configMap({name: 'dry'}, {a: '1'}))
      const patched = await request('PATCH', `${base}/configmaps/dry?dryRun=All`, {data: {a: '2'}}, MERGE)
      assert.deepEqual(patched.body.data, {a: '2'})
      assert.equal((await request('DELETE', `${base}/configmaps/dry?dryRun=All`)).status, 200)
      assert.deepEqual((await request('GET', `${base}/configmaps/dry`)).body.data, {a: '1'})
      assert.ok([400, 422].includes((await request('DELETE', `${base}/configmaps/dry?dryRun=Some`)).status))
    })

    test('label selectors follow the documented grammar', async () => {
      await create(configMap({name: 'sel-1', labels: {sel: 'x', tier: 'front'}}))
      await create(configMap({name: 'sel-2', labels: {sel: 'x', tier: 'back', size: '5'}}))
      await create(configMap({name: 'sel-3', labels: {sel: 'x'}}))
      const expected: Record<string, string[]> = {
        'sel=x,tier=front': ['sel-1'],
        'sel==x,tier!=front': ['sel-2', 'sel-3'],
        'sel=x,tier in (front, back)': ['sel-1', 'sel-2'],
        'sel=x,tier notin (front)': ['sel-2', 'sel-3'],
        'sel,tier': ['sel-1', 'sel-2'],
        'sel,!tier': ['sel-3'],
        'size>4': ['sel-2'],
        'size<5': [],
        'sel=x,constructor': [],
      }
      for (const [selector, names] of Object.entries(expected)) {
        const list = await request('GET', `${base}/configmaps?labelSelector=${encodeURIComponent(selector)}`)
        assert.deepEqual(
          list.body.items.map((item: Json) => item.metadata.name),
          names,
          selector,
        )
      }
      for (const broken of ['a in b', 'a=b=c', 'a in (b', '=x']) {
        const answer = await request('GET', `${base}/configmaps?labelSelector=${encodeURIComponent(broken)}`)
        assert.equal(answer.status, 400, broken)
      }
    })

    test('field selectors: names everywhere, unknown fields are 400', async () => {
      await create(configMap({name: 'field-1'}))
      const list = await request(
        'GET',
        `/api/v1/configmaps?fieldSelector=metadata.name%3Dfield-1,metadata.namespace%3D${namespace}`,
      )
      assert.deepEqual(
        list.body.items.map((item: Json) => item.metadata.name),
        ['field-1'],
      )
      assert.equal((await request('GET', `${base}/configmaps?fieldSelector=data.a%3Db`)).status, 400)
    })

    test('lists come in pages; all of them are told as of the first', async () => {
      for (const number of [1, 2, 3, 4, 5]) {
        await create(configMap({name: `page-${number}`, labels: {page: 'yes'}}))
      }
      const path = `${base}/configmaps?labelSelector=page&limit=2`
      const first = (await request('GET', path)).body
      await create(configMap({name: 'page-0', labels: {page: 'yes'}}))
      const names = [first.items.map((item: Json) => item.metadata.name)]
      let page = first
      while (page.metadata.continue) {
        page = (await request('GET', `${path}&continue=${encodeURIComponent(page.metadata.continue)}`)).body
        names.push(page.items.map((item: Json) => item.metadata.name))
        assert.equal(page.metadata.resourceVersion, first.metadata.resourceVersion)
      }
      assert.deepEqual(names, [['page-1', 'page-2'], ['page-3', 'page-4'], ['page-5']])
      const from = `resourceVersion=${first.metadata.resourceVersion}`
      const events = await watch(target, `${base}/configmaps?watch=1&labelSelector=page&${from}`)
      assert.equal((await events.next()).object.metadata.name, 'page-0')
      events.close()
      assert.equal((await request('GET', `${path}&continue=nonsense`)).status, 400)
    })

    test('a watch from the list tells every later change in order', async () => {
      const version = (await request('GET', `${base}/configmaps`)).body.metadata.resourceVersion
      await create(configMap({name: 'watched', labels: {watch: 'yes'}}))
      const events = await watch(
        target,
        `${base}/configmaps?watch=1&resourceVersion=${version}&labelSelector=watch%3Dyes`,
      )
      assert.equal(events.status, 200)
      const next = async (): Promise<string> => {
        const {type, object} = await events.next()
        return `${type} ${object.metadata.name} ${JSON.stringify(object.metadata.labels)}`
      }
      assert.equal(await next(), 'ADDED watched {"watch":"yes"}')
      await request('PATCH', `${base}/configmaps/watched`, {data: {a: 'b'}}, MERGE)
      assert.equal(await next(), 'MODIFIED watched {"watch":"yes"}')
      await request('PATCH', `${base}/configmaps/watched`, {metadata: {labels: {watch: 'no'}}}, MERGE)
      assert.equal((await next()).split(' ')[0], 'DELETED')
      await request('PATCH', `${base}/configmaps/watched`, {metadata: {labels: {watch: 'yes'}}}, MERGE)
      assert.equal(await next(), 'ADDED watched {"watch":"yes"}')
      await request('DELETE', `${base}/configmaps/watched`)
      assert.equal(await next(), 'DELETED watched {"watch":"yes"}')
      events.close()
    })

    test('a watch without a version begins with what is there and ends after timeoutSeconds', async () => {
      await create(configMap({name: 'first', labels: {first: 'yes'}}))
      const events = await watch(target, `${base}/configmaps?watch=true&labelSelector=first&timeoutSeconds=1`)
      assert.equal((await events.next()).object.metadata.name, 'first')
      assert.equal(await events.next(), undefined)
    })

    test('metadata only: lists, single objects and watches', async () => {
      await create(configMap({name: 'partial', labels: {partial: 'yes'}}, {big: 'data'}))
      const as = (kind: string): object => ({
        accept: `application/json;as=${kind};g=meta.k8s.io;v=v1,application/json`,
      })
      const list = (
        await request(
          'GET',
          `${base}/configmaps?labelSelector=partial`,
          undefined,
          as('PartialObjectMetadataList'),
        )
      ).body
      assert.equal(list.kind, 'PartialObjectMetadataList')
      assert.equal(list.items[0].metadata.name, 'partial')
      assert.equal(list.items[0].data, undefined)
      const one = (await request('GET', `${base}/configmaps/partial`, undefined, as('PartialObjectMetadata')))
        .body
      assert.equal(one.kind, 'PartialObjectMetadata')
      const events = await watch(
        target,
        `${base}/configmaps?watch=1&labelSelector=partial`,
        as('PartialObjectMetadata'),
      )
      const event = await events.next()
      assert.equal(event.object.kind, 'PartialObjectMetadata')
      assert.equal(event.object.data, undefined)
      events.close()
    })

    test('tables have the columns of kubectl get', async () => {
      await create(configMap({name: 'table', labels: {table: 'yes'}}, {a: '1', b: '2'}))
      const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
      const table = (await request('GET', `${base}/configmaps?labelSelector=table`, undefined, {accept})).body
      assert.equal(table.kind, 'Table')
      assert.deepEqual(
        table.columnDefinitions.map((column: Json) => column.name),
        ['Name', 'Data', 'Age'],
      )
      assert.deepEqual(table.rows[0].cells.slice(0, 2), ['table', 2])
      assert.equal(table.rows[0].object.kind, 'PartialObjectMetadata')
    })

    test('deletecollection deletes what the selector picks', async () => {
      await create(configMap({name: 'many-1', labels: {many: 'yes'}}))
      await create(configMap({name: 'many-2', labels: {many: 'yes'}}))
      await create(configMap({name: 'many-3', labels: {many: 'no'}}))
      assert.equal((await request('DELETE', `${base}/configmaps?labelSelector=many%3Dyes`)).status, 200)
      const left = (await request('GET', `${base}/configmaps?labelSelector=many`)).body.items
      assert.deepEqual(
        left.map((item: Json) => item.metadata.name),
        ['many-3'],
      )
    })

    test('finalizers hold a deleted object until they are gone', async () => {
      await create(configMap({name: 'held', finalizers: ['example.com/hold']}))
      await request('DELETE', `${base}/configmaps/held`)
      const held = (await request('GET', `${base}/configmaps/held`)).body
      assert.match(held.metadata.deletionTimestamp, /Z$/)
      await request('PATCH', `${base}/configmaps/held`, {metadata: {finalizers: null}}, MERGE)
      assert.equal((await request('GET', `${base}/configmaps/held`)).status, 404)
    })

    test('services get defaults and addresses that stay', async () => {
      const spec = {selector: {app: 'x'}, ports: [{port: 80}]}
      const made = await request('POST', `${base}/services`, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: {name: 'web'},
        spec,
      })
      assert.equal(made.status, 201, made.text)
      const service = made.body.spec
      assert.deepEqual(service.ports, [{port: 80, protocol: 'TCP', targetPort: 80}])
      assert.equal(service.type, 'ClusterIP')
      assert.equal(service.clusterIPs[0], service.clusterIP)
      assert.equal(service.ipFamilies.length, 1)
      assert.equal(service.ipFamilyPolicy, 'SingleStack')
      const moved = {spec: {clusterIP: '10.255.255.1', clusterIPs: ['10.255.255.1']}}
      const refused = await request('PATCH', `${base}/services/web`, moved, MERGE)
      assert.equal(refused.status, 422, refused.text)
      const headless = {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: {name: 'headless'},
        spec: {...spec, clusterIP: 'None'},
      }
      assert.deepEqual((await request('POST', `${base}/services`, headless)).body.spec.clusterIPs, ['None'])
      const noPorts = {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: {name: 'bad'},
        spec: {selector: {app: 'x'}},
      }
      assert.equal(
        (await request('POST', `${base}/services`, noPorts)).body.details.causes[0].field,
        'spec.ports',
      )
    })

    test('deployments count generations; scale is another view; the selector is immutable', async () => {
      const path = `/apis/apps/v1/namespaces/${namespace}/deployments`
      const deployment = (labels: object): Json => ({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: {name: 'web'},
        spec: {
          selector: {matchLabels: {app: 'web'}},
          template: {metadata: {labels}, spec: {containers: [{name: 'web', image: 'x'}]}},
        },
      })
      assert.equal((await request('POST', path, deployment({app: 'other'}))).status, 422)
      const made = (await request('POST', path, deployment({app: 'web'}))).body
      assert.deepEqual(
        [made.metadata.generation, made.spec.replicas, made.spec.strategy.type],
        [1, 1, 'RollingUpdate'],
      )
      const labelled = (await request('PATCH', `${path}/web`, {metadata: {labels: {a: 'b'}}}, MERGE)).body
      assert.equal(labelled.metadata.generation, 1)
      const status = (
        await request('PATCH', `${path}/web/status`, {status: {replicas: 1}, spec: {replicas: 9}}, MERGE)
      ).body
      assert.deepEqual([status.spec.replicas, status.status.replicas, status.metadata.generation], [1, 1, 1])
      const scaled = (await request('PATCH', `${path}/web/scale`, {spec: {replicas: 3}}, MERGE)).body
      assert.deepEqual([scaled.kind, scaled.spec.replicas, scaled.status.selector], ['Scale', 3, 'app=web'])
      const after = (await request('GET', `${path}/web`)).body
      assert.deepEqual([after.spec.replicas, after.metadata.generation], [3, 2])
      const selector = {
        spec: {selector: {matchLabels: {app: 'z'}}, template: {metadata: {labels: {app: 'z'}}}},
      }
      assert.equal((await request('PATCH', `${path}/web`, selector, MERGE)).status, 422)
    })

    test('pods: bound once, deleted gracefully', async () => {
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {name: 'pod'},
        spec: {containers: [{name: 'c', image: 'x'}]},
      }
      const made = (await request('POST', `${base}/pods`, pod)).body
      assert.equal(made.status.phase, 'Pending')
      assert.equal(made.spec.restartPolicy, 'Always')
      const binding = {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: {name: 'pod'},
        target: {kind: 'Node', name: 'node-1'},
      }
      assert.equal((await request('POST', `${base}/pods/pod/binding`, binding)).status, 201)
      assert.equal((await request('GET', `${base}/pods/pod`)).body.spec.nodeName, 'node-1')
      assert.equal((await request('POST', `${base}/pods/pod/binding`, binding)).status, 409)
      assert.equal(
        (await request('PATCH', `${base}/pods/pod`, {spec: {hostNetwork: true}}, MERGE)).status,
        422,
      )
      const selected = await request('GET', `${base}/pods?fieldSelector=spec.nodeName%3Dnode-1`)
      assert.equal(selected.body.items.length, 1)
      assert.equal((await request('DELETE', `${base}/pods/pod`)).status, 200)
      const leaving = (await request('GET', `${base}/pods/pod`)).body
      assert.equal(leaving.metadata.deletionGracePeriodSeconds, 30)
      assert.ok(leaving.metadata.deletionTimestamp)
      await request('DELETE', `${base}/pods/pod`, {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        gracePeriodSeconds: 0,
      })
      assert.equal((await request('GET', `${base}/pods/pod`)).status, 404)
    })

    test('delete honours preconditions', async () => {
      const made = await create(configMap({name: 'pre'}))
      const options = (uid: string): object => ({
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: {uid},
      })
      assert.equal((await request('DELETE', `${base}/configmaps/pre`, options('other'))).status, 409)
      assert.equal(
        (await request('DELETE', `${base}/configmaps/pre`, options(made.metadata.uid))).status,
        200,
      )
    })

    test('a namespace on its way out takes nothing new', async () => {
      const name = `${namespace}-gone`
      const space = {apiVersion: 'v1', kind: 'Namespace', metadata: {name}}
      await request('POST', '/api/v1/namespaces', space)
      const leaving = (await request('DELETE', `/api/v1/namespaces/${name}`)).body
      assert.equal(leaving.status.phase, 'Terminating')
      const refused = await request('POST', `/api/v1/namespaces/${name}/configmaps`, configMap({name: 'x'}))
      assert.equal(refused.status, 403)
      assert.equal(refused.body.details.causes[0].reason, 'NamespaceTerminating')
      const current = (await request('GET', `/api/v1/namespaces/${name}`)).body
      const done = {...current, spec: {finalizers: []}}
      assert.equal((await request('PUT', `/api/v1/namespaces/${name}/finalize`, done)).status, 200)
      assert.equal((await request('GET', `/api/v1/namespaces/${name}`)).status, 404)
    })

    test('fieldValidation: Strict refuses unknown fields, Warn tells them, all leave them out', async () => {
      const body = {...configMap({name: 'typo'}), dta: {}}
      const strict = await request('POST', `${base}/configmaps?fieldValidation=Strict`, body)
      assert.equal(strict.status, 400)
      assert.match(strict.body.message, /strict decoding error: unknown field "dta"/)
      const warned = await request('POST', `${base}/configmaps?fieldValidation=Warn`, body)
      assert.equal(warned.status, 201)
      assert.match(warned.warning, /^299 - "unknown field \\"dta\\""$/)
      assert.equal(warned.body.dta, undefined)
      const ignored = await request('PUT', `${base}/configmaps/typo?fieldValidation=Ignore`, body)
      assert.deepEqual([ignored.status, ignored.warning], [200, ''])
    })

    test('a field of a wrong type is 400', async () => {
      const service = {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: {name: 'types'},
        spec: {ports: [{port: '80'}]},
      }
      const refused = await request('POST', `${base}/services`, service)
      assert.equal(refused.status, 400)
      assert.match(refused.body.message, /^Service in version "v1" cannot be handled as a Service: /)
    })

    test('a body above 3 MB is 413', async () => {
      // Hardly above: a server that reads no further resets the connection, and its answer may be lost.
      const huge = configMap({name: 'huge'}, {text: 'x'.repeat(3 << 20)})
      assert.equal((await request('POST', `${base}/configmaps`, huge)).status, 413)
    })
  })
}
