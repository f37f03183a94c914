// SPDX-License-Identifier: Apache-2.0
/** `uninstall --hold`: for a DaemonSet, which would start a process that ends again and again. */
import {EXIT} from '../errors.ts'
import {type StatusOptions, startStatusServer} from './status-server.ts'

/**
 * Does the work, says `/readyz` 200 once it is done (alive all the time), and waits to be ended.
 *
 * @param work - gives an exit status; one that is not 0 is returned at once, so that whoever runs us tries again
 * @param ended - resolves with the name of the signal that ends the process
 */
export async function holdAfter(
  work: () => Promise<number>,
  options: StatusOptions,
  ended: Promise<string>,
): Promise<number> {
  const server = await startStatusServer(options)
  try {
    const status = await work()
    if (status !== EXIT.ok) return status
    server.readyIs(() => ({ready: true, checks: []}))
    options.log.info('Kmesh is off this node; holding until SIGTERM')
    options.log.info(`${await ended}: stopping`)
    return status
  } finally {
    server.close()
  }
}
