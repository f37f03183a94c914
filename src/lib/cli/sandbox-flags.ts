// SPDX-License-Identifier: Apache-2.0
import {Flags} from '@oclif/core'

/** Which sandbox. */
export const sandboxFlags = {
  name: Flags.string({
    description: 'name of the sandbox; several can run side by side',
    default: 'sandbox',
    helpGroup: 'GLOBAL',
    helpValue: 'NAME',
  }),
}
