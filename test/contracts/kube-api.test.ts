// SPDX-License-Identifier: Apache-2.0
// Goal: the sandbox's API keeps to what Kubernetes documents.
// Method: the contract suite against a server in this process, over TLS and plain HTTPS requests.
import {startApi} from '../sandbox/api/api-fixture.ts'
import {kubeApiContract, type Target} from './kube-api.ts'
import {kubeAccessContract} from './kube-api-access.ts'
import {kubeListContract} from './kube-api-lists.ts'

const start = async (): Promise<Target> => {
  const fixture = await startApi()
  const {server, authority, admin} = fixture
  return {server, authorityPem: authority.certificatePem, ...admin, close: () => fixture.close()}
}

kubeApiContract('sandbox', start)
kubeAccessContract('sandbox', start)
kubeListContract('sandbox', start)
