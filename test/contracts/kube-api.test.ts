// SPDX-License-Identifier: Apache-2.0
// Goal: the sandbox's API keeps to what Kubernetes documents.
// Method: the contract suite against a server in this process, over TLS and plain HTTPS requests.
import {startApi} from '../sandbox/api/api-fixture.ts'
import {kubeApiContract} from './kube-api.ts'

kubeApiContract('sandbox', async () => {
  const fixture = await startApi()
  const {server, authority, admin} = fixture
  return {server, authorityPem: authority.certificatePem, ...admin, close: () => fixture.close()}
})
