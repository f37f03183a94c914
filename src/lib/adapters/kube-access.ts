// SPDX-License-Identifier: Apache-2.0
import type {KubeAccess} from '../ports.ts'
import type {Connection} from './kubeconfig.ts'

/** As it is now: token files are read and plugins asked again when they are due. @throws KmeshError `NoCredentials` */
export async function kubeAccess(connection: Connection): Promise<KubeAccess> {
  const {tls, headers} = await connection.credentials()
  const authorization = headers['Authorization']
  const token = typeof authorization === 'string' ? /^Bearer (.+)$/.exec(authorization)?.[1] : undefined
  return {
    server: connection.server,
    ca: pem(tls.ca),
    serverName: tls.servername,
    skipsVerification: tls.rejectUnauthorized === false,
    certificate: pem(tls.cert),
    key: pem(tls.key),
    token,
  }
}

function pem(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : undefined
}
