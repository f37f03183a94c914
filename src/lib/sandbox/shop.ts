// SPDX-License-Identifier: Apache-2.0
/** What a new sandbox has to look at: a client that sleeps, a server, a service. */
import type {KubeObject} from '../model/kube.ts'

export const SHOP = 'shop'
const SERVER_REPLICAS = 3
/** Pods of both Deployments. */
export const SHOP_PODS = 1 + SERVER_REPLICAS

type Manifest = KubeObject & Readonly<Record<string, unknown>>

export function shopObjects(): readonly Manifest[] {
  return [
    {apiVersion: 'v1', kind: 'Namespace', metadata: {name: SHOP}},
    deployment('client', 1, {name: 'main', image: 'sandbox/host', command: ['sleep', 'infinity']}),
    deployment('server', SERVER_REPLICAS, {
      name: 'echo',
      image: 'sandbox/echo',
      ports: [
        {name: 'http', containerPort: 8080, protocol: 'TCP'},
        {name: 'tcp', containerPort: 9090, protocol: 'TCP'},
      ],
      readinessProbe: {httpGet: {path: '/', port: 'http'}, periodSeconds: 1},
    }),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {name: 'server', namespace: SHOP, labels: {app: 'server'}},
      spec: {
        selector: {app: 'server'},
        ipFamilyPolicy: 'PreferDualStack',
        ports: [
          {name: 'http', port: 80, targetPort: 'http', protocol: 'TCP'},
          {name: 'tcp', port: 90, targetPort: 'tcp', protocol: 'TCP'},
        ],
      },
    },
  ]
}

function deployment(name: string, replicas: number, container: object): Manifest {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {name, namespace: SHOP, labels: {app: name}},
    spec: {
      replicas,
      selector: {matchLabels: {app: name}},
      template: {
        metadata: {labels: {app: name}},
        spec: {terminationGracePeriodSeconds: 5, containers: [container]},
      },
    },
  }
}
