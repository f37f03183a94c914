// SPDX-License-Identifier: Apache-2.0
/** Members of objects that interop looks at; those of pods stand beside their projection. */

export const SERVICE_FIELDS = {
  metadata: {name: true, namespace: true},
  spec: {clusterIP: true, ports: {name: true, port: true, protocol: true}},
} as const

export const SLICE_FIELDS = {
  metadata: {name: true, namespace: true, labels: {'kubernetes.io/service-name': true}},
  addressType: true,
  ports: {name: true, port: true},
  endpoints: {addresses: true, conditions: {ready: true}, targetRef: {kind: true, name: true}},
} as const
