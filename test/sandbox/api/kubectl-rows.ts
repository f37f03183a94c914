// SPDX-License-Identifier: Apache-2.0
/** What kubectl is asked to do, and what it must say. */
import {stringify} from 'yaml'
import {widgetDefinition} from '../../contracts/kube-api-access.ts'

export const MANIFEST = `
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

export interface Row {
  readonly command: string
  /** On stdout. */
  readonly output?: RegExp
  /** On stderr, and then the command must fail. */
  readonly failure?: RegExp
}

/** A definition and an object of it, as manifests. */
export const DEFINITION = stringify(widgetDefinition())
export const CUSTOM = `apiVersion: contract.example.com/v1
kind: Widget
metadata: {name: one, namespace: default}
spec: {size: 3, hosts: [a, b]}
`

export const ROWS: readonly Row[] = [
  {command: 'version', output: /Server Version: v1\.33\./},
  {command: 'api-resources', output: /deployments +deploy +apps\/v1 +true +Deployment/},
  {command: 'api-versions', output: /discovery\.k8s\.io\/v1/},
  {command: 'create namespace other', output: /namespace\/other created/},
  {command: '-n other create configmap c --from-literal=a=b', output: /configmap\/c created/},
  {command: '-n other create secret generic s --from-literal=a=b', output: /secret\/s created/},
  {command: '-n other get secret s -o jsonpath={.data}', output: /^\{"a":"Yg=="\}$/},
  {command: '-n other get secret s', output: /NAME +TYPE +DATA +AGE\s+s +Opaque +1 /},
  {command: '-n other create serviceaccount low', output: /serviceaccount\/low created/},
  {command: '-n other create token low --duration=10m', output: /^[\w-]+\.[\w-]+\.[\w-]+\s*$/},
  {command: '-n other create token low --duration=1m', failure: /less than 10 minutes/},
  {command: '-n other create role r --verb=get,list --resource=pods,leases', output: /\/r created/},
  {command: '-n other create rolebinding b --role=r --serviceaccount=other:low', output: /\/b created/},
  {command: 'create clusterrole cr --verb=get --non-resource-url=/metrics', output: /\/cr created/},
  {command: 'create clusterrolebinding cb --clusterrole=cr --user=ann', output: /\/cb created/},
  {command: '-n other get role,rolebinding', output: /role\S+\/r [\s\S]*\/b +Role\/r /},
  {command: '-n other describe role r', output: /pods +\[\] +\[\] +\[get list\]/},
  {command: 'auth can-i create pods', output: /^yes/},
  {command: '-n other auth can-i list pods --as=system:serviceaccount:other:low', output: /^yes/},
  {
    command: 'auth can-i delete nodes --as=system:serviceaccount:other:low',
    failure: /resource 'nodes' is not namespace scoped/,
  },
  {command: 'auth can-i get /metrics --as=ann', output: /^yes/},
  {
    command: '-n other auth can-i --list --as=system:serviceaccount:other:low',
    output: /pods +\[\] +\[\] +\[get list\]/,
  },
  {command: 'auth whoami', output: /Username +admin\s+Groups +\[system:masters system:authenticated\]/},
  {
    command: '-n other get cm --as=system:serviceaccount:other:low',
    failure: /User "system:serviceaccount:other:low" cannot list resource "configmaps" in API group ""/,
  },
  {
    command: '-n other create deployment d --image=sandbox/echo --replicas=0',
    output: /deployment\.apps\/d created/,
  },
  {command: '-n other rollout status deploy/d --timeout=20s', output: /successfully rolled out/},
  {command: '-n other run p --image=sandbox/echo', output: /pod\/p created/},
  {command: '-n other wait --for=condition=Ready pod/p --timeout=20s', output: /condition met/},
  {command: '-n other logs p --tail=1', output: /^second\n$/},
  {command: '-n other logs -f p', output: /^first\nsecond\n$/},
  {command: '-n other logs p --timestamps', failure: /timestamps is not served/},
  {command: '-n other port-forward p 0:80', failure: /--control-plane/},
  {command: '-n other exec p -- true', failure: /--control-plane/},
  {command: 'apply --server-side -f SETTINGS', failure: /server-side apply is not served.*--control-plane/},
  {command: 'explain pods', failure: /--control-plane/},
  {command: 'create -f CUSTOM --dry-run=server', failure: /Widget|not find|no matches/},
  {command: 'apply -f DEFINITION', output: /widgets\.contract\.example\.com created/},
  {command: 'wait --for=condition=established crd --all --timeout=10s', output: /condition met/},
  {command: 'apply -f CUSTOM', output: /widget\.contract\.example\.com\/one created/},
  {command: 'apply -f CUSTOM', output: /\/one unchanged/},
  {command: 'get wd', output: /NAME +SIZE +READY\s+one +3 /},
  {command: 'get things -o name', output: /^widget\.contract\.example\.com\/one\n$/},
  {command: 'patch wd one --type=merge -p {"spec":{"size":4}}', output: /patched/},
  {
    command: 'patch wd one --type=merge -p {"spec":{"color":"green"}}',
    failure: /supported values: "red", "blue"/,
  },
  {
    command: 'get widgets.v1beta1.contract.example.com one -o jsonpath={.apiVersion}/{.spec.size}',
    output: /v1beta1\/4$/,
  },
  {command: 'describe wd one', output: /Size: +4/},
  {command: 'label wd one a=b', output: /labeled/},
  {command: 'delete crd widgets.contract.example.com', output: /deleted/},
  {command: 'delete ns other --timeout=20s', output: /deleted/},
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
  {command: '-n shop describe svc web', output: /TargetPort: +http\/TCP/},
  {command: '-n shop delete cm settings', output: /deleted/},
  {command: '-n shop delete pods -l app=web --wait', output: /deleted/},
  {command: '-n shop delete deploy web --cascade=foreground', output: /deleted/},
  {command: '-n shop get pods,rs', output: /^$/},
  {command: 'delete ns shop --timeout=20s', output: /namespace "shop" deleted/},
  {command: 'get ns shop', failure: /namespaces "shop" not found/},
]
