// SPDX-License-Identifier: Apache-2.0
/** What the agent takes from each kind of object that it watches. */
import {count, fields, flag, list, name, port, portOrName, type Shape, text, texts} from './clean.ts'

const owner = fields({apiVersion: text, kind: text, name: text, uid: text, controller: flag}, [
  'kind',
  'name',
])
const metadata = fields(
  {
    name,
    namespace: name,
    uid: name,
    resourceVersion: text,
    deletionTimestamp: text,
    labels: texts,
    annotations: texts,
    ownerReferences: list(owner),
  },
  ['name'],
)
const condition = fields({type: text, status: text}, ['type', 'status'])
const container = fields({name: text, ready: flag, restartCount: count, containerID: text}, ['name'])
const address = fields({type: text, address: text}, ['address'])
const target = fields({kind: text, namespace: text, name: text, uid: text})
const endpoint = fields(
  {
    addresses: list(text),
    conditions: fields({ready: flag, serving: flag, terminating: flag}),
    nodeName: text,
    zone: text,
    targetRef: target,
  },
  ['addresses'],
)
const servicePort = fields({name: text, protocol: text, port, targetPort: portOrName, nodePort: count}, [
  'port',
])

export const SHAPES: Readonly<Record<string, Shape>> = {
  namespaces: fields({metadata}, ['metadata']),
  nodes: fields(
    {
      metadata,
      spec: fields({podCIDR: text, podCIDRs: list(text)}),
      status: fields({addresses: list(address)}),
    },
    ['metadata'],
  ),
  services: fields(
    {
      metadata,
      spec: fields({
        type: text,
        clusterIP: text,
        clusterIPs: list(text),
        ipFamilies: list(text),
        ipFamilyPolicy: text,
        ports: list(servicePort),
        selector: texts,
        publishNotReadyAddresses: flag,
      }),
    },
    ['metadata'],
  ),
  endpointslices: fields(
    {
      metadata,
      addressType: text,
      endpoints: list(endpoint),
      ports: list(fields({name: text, port, protocol: text})),
    },
    ['metadata', 'addressType'],
  ),
  pods: fields(
    {
      metadata,
      spec: fields({nodeName: text, hostNetwork: flag, serviceAccountName: text}),
      status: fields({
        phase: text,
        podIP: text,
        podIPs: list(fields({ip: text}, ['ip'])),
        conditions: list(condition),
        containerStatuses: list(container),
        initContainerStatuses: list(container),
      }),
    },
    ['metadata'],
  ),
}
