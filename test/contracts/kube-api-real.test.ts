// SPDX-License-Identifier: Apache-2.0
// Goal: the contract suite says what Kubernetes does, not what the sandbox's API does.
// Method: the same suite against the etcd and kube-apiserver of KUBEBUILDER_ASSETS, over plain HTTPS requests.
import {resolve} from 'node:path'
import {test} from 'node:test'
import {kubeApiContract} from './kube-api.ts'
import {kubeAccessContract} from './kube-api-access.ts'
import {kubeListContract} from './kube-api-lists.ts'
import {startRealApi} from './real-kube-api.ts'

const directory = process.env['KUBEBUILDER_ASSETS']

if (directory === undefined || directory === '') {
  test('the contract suite on a real kube-apiserver', {
    skip: 'KUBEBUILDER_ASSETS is not set: it names a folder with etcd and kube-apiserver',
  })
} else {
  const start = () => startRealApi(resolve(directory))
  kubeApiContract('kube-apiserver', start)
  kubeAccessContract('kube-apiserver', start)
  kubeListContract('kube-apiserver', start)
}
