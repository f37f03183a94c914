// SPDX-License-Identifier: Apache-2.0
// Goal: kubectl works against the sandbox's API as its users expect.
// Method: the real kubectl of this machine, against a server with controllers and a fake kubelet; one row a command.
import assert from 'node:assert/strict'
import {execFile, spawn} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {promisify} from 'node:util'
import {type ApiFixture, addNodes, eventually, startApi, startFakeKubelet} from './api-fixture.ts'

const run = promisify(execFile)
const version = await run('kubectl', ['version', '--client']).catch(() => undefined)
const skip = version === undefined && 'there is no kubectl on this machine'

const MANIFEST = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {a: b}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: sandbox/echo, ports: [{name: http, containerPort: 8080}]}]}
`

interface Row {
  readonly command: string
  /** On stdout. */
  readonly output?: RegExp
  /** On stderr, and then the command must fail. */
  readonly failure?: RegExp
}

const ROWS: readonly Row[] = [
  {command: 'version', output: /Server Version: v1\.33\./},
  {command: 'api-resources', output: /deployments +deploy +apps\/v1 +true +Deployment/},
  {command: 'api-versions', output: /discovery\.k8s\.io\/v1/},
  {command: 'create namespace other', failure: /kubectl create -f FILE/},
  {command: 'create -f TYPO', failure: /strict decoding error: unknown field "dta"/},
  {command: 'create -f MANIFEST', output: /deployment\.apps\/web created/},
  {command: 'apply -f MANIFEST', output: /deployment\.apps\/web configured/},
  {command: 'apply -f MANIFEST', output: /deployment\.apps\/web unchanged/},
  {command: 'diff -f MANIFEST', output: /^$/},
  {command: 'create -f MANIFEST', failure: /namespaces "shop" already exists/},
  {command: '-n shop wait --for=condition=Available deploy/web --timeout=20s', output: /condition met/},
  {command: '-n shop rollout status deploy/web --timeout=20s', output: /successfully rolled out/},
  {command: 'get nodes', output: /^NAME +STATUS +ROLES +AGE +VERSION\s+n1 +Ready /},
  {command: '-n shop get pods', output: /^NAME +READY +STATUS +RESTARTS +AGE\s+web-\S+ +1\/1 +Running +0 /},
  {
    command: '-n shop get pods -o wide',
    output: /IP +NODE +NOMINATED NODE[\s\S]*10\.1\.0\.\d+ +n[12] +<none>/,
  },
  {command: '-n shop get po -l app=web -o name', output: /^pod\/web-\S+\npod\/web-\S+\n$/},
  {command: '-n shop get svc web', output: /web +ClusterIP +10\.96\.0\.\d+ +<none> +80\/TCP/},
  {command: '-n shop get deploy web -o yaml', output: /replicas: 2[\s\S]*observedGeneration/},
  {
    command: '-n shop get deployments.apps',
    output: /NAME +READY +UP-TO-DATE +AVAILABLE +AGE\s+web +2\/2 +2 +2 /,
  },
  {command: '-n shop get rs', output: /NAME +DESIRED +CURRENT +READY +AGE\s+web-\w+ +2 +2 +2 /},
  {command: '-n shop get endpointslices', output: /web-ipv6-\w+ +IPv6 +8080 +fd00::/},
  {
    command: '-n shop get all',
    output: /pod\/web[\s\S]*service\/web[\s\S]*deployment\.apps\/web[\s\S]*replicaset\.apps\/web/,
  },
  {command: 'get pods -A --field-selector spec.nodeName=n1', output: /shop +web-/},
  {command: 'get cm,ns -A', output: /configmap\/settings[\s\S]*namespace\/shop/},
  {command: 'get pods -n none', output: /^$/},
  {command: 'get pod none -n shop', failure: /pods "none" not found/},
  {command: 'get jobs', failure: /doesn't have a resource type "jobs"/},
  {command: 'label ns shop istio.io/dataplane-mode=kmesh', output: /namespace\/shop labeled/},
  {command: 'label ns shop istio.io/dataplane-mode=none', failure: /already has a value/},
  {
    command: 'label ns shop istio.io/dataplane-mode=none --overwrite --dry-run=server',
    output: /labeled \(server dry run\)/,
  },
  {command: 'get ns -l istio.io/dataplane-mode=kmesh --no-headers', output: /^shop /},
  {
    command: 'patch ns shop -p {"metadata":{"labels":{"bad":"-x"}}}',
    failure: /metadata\.labels: Invalid value: "-x"/,
  },
  {command: 'label ns shop istio.io/dataplane-mode-', output: /unlabeled/},
  {command: '-n shop annotate svc web note=hello', output: /service\/web annotated/},
  {command: '-n shop patch deploy web -p {"spec":{"replicas":3}}', output: /patched/},
  {command: '-n shop patch deploy web --type=merge -p {"spec":{"replicas":2}}', output: /patched/},
  {
    command: '-n shop patch cm settings --type=json -p [{"op":"add","path":"/data/c","value":"d"}]',
    output: /patched/,
  },
  {
    command: '-n shop patch cm settings --type=json -p [{"op":"test","path":"/data/c","value":"x"}]',
    failure: /invalid/i,
  },
  {command: '-n shop get cm settings -o jsonpath={.data.c}', output: /^d$/},
  {command: '-n shop scale deploy web --replicas=4', output: /scaled/},
  {
    command: '-n shop wait --for=jsonpath={.status.readyReplicas}=4 deploy/web --timeout=20s',
    output: /condition met/,
  },
  {
    command: '-n shop scale rs,deploy web --replicas=9 --current-replicas=1',
    failure: /Expected replicas to be 1, was 4/,
  },
  {command: '-n shop set image deploy/web web=sandbox/echo:2', output: /image updated/},
  {command: '-n shop rollout status deploy/web --timeout=20s', output: /successfully rolled out/},
  {command: '-n shop describe deploy web', output: /sandbox\/echo:2/},
  {command: '-n shop describe svc web', output: /Endpoints: +10\.1\.0\./},
  {command: '-n shop delete cm settings', output: /deleted/},
  {command: '-n shop delete pods -l app=web --wait', output: /deleted/},
  {command: '-n shop delete deploy web --cascade=foreground', output: /deleted/},
  {command: '-n shop get pods,rs', output: /^$/},
  {command: 'delete ns shop --timeout=20s', output: /namespace "shop" deleted/},
  {command: 'get ns shop', failure: /namespaces "shop" not found/},
]

suite('kubectl against the sandbox API', {skip}, () => {
  let fixture: ApiFixture
  let folder: string
  let stopKubelet = (): void => {}
  const words = (command: string): string[] =>
    command
      .split(' ')
      .map((word) =>
        word.replace('MANIFEST', join(folder, 'manifest.yaml')).replace('TYPO', join(folder, 'typo.yaml')),
      )
  const env = (): NodeJS.ProcessEnv => ({
    ...process.env,
    KUBECONFIG: fixture.kubeconfigFile,
    KUBECACHEDIR: join(folder, 'cache'),
  })

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), `kmt${process.pid}-kubectl-`))
    writeFileSync(join(folder, 'manifest.yaml'), MANIFEST)
    const typo = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: typo, namespace: default}\ndta: {}\n'
    writeFileSync(join(folder, 'typo.yaml'), typo)
    fixture = await startApi({controllers: true})
    await addNodes(fixture.kube, 'n1', 'n2')
    stopKubelet = startFakeKubelet(fixture)
  })
  after(async () => {
    stopKubelet()
    await fixture.close()
    rmSync(folder, {recursive: true, force: true})
  })

  for (const {command, output, failure} of ROWS) {
    test(`kubectl ${command}`, async () => {
      const ran = run('kubectl', words(command), {env: env(), timeout: 30_000})
      if (failure !== undefined) {
        await assert.rejects(ran, (thrown: {stderr?: string}) => {
          assert.match(thrown.stderr ?? '', failure)
          return true
        })
        return
      }
      assert.match((await ran).stdout, output ?? /^$/)
    })
  }

  test('kubectl get --watch shows changes as rows', async () => {
    await fixture.kube.create(
      {group: '', version: 'v1', resource: 'namespaces'},
      {apiVersion: 'v1', kind: 'Namespace', metadata: {name: 'seen'}},
    )
    const child = spawn('kubectl', ['get', 'ns', 'seen', '--watch', '--no-headers'], {env: env()})
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
    })
    try {
      await eventually(() => /^seen +Active/.test(text) || undefined)
      await fixture.kube.delete({group: '', version: 'v1', resource: 'namespaces', name: 'seen'})
      await eventually(() => /seen +Terminating/.test(text) || undefined)
    } finally {
      child.kill()
    }
  })

  test('nothing was said to be wrong', () => {
    assert.deepEqual(fixture.problems, [])
  })
})
