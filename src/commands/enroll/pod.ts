// SPDX-License-Identifier: Apache-2.0
import {namespaceFlag} from '../../lib/cli/flags.ts'
import EnrollNamespace from './namespace.ts'

export default class EnrollPod extends EnrollNamespace {
  static override summary = 'Put single pods under Kmesh'
  static override description =
    'Labels the pods, waits until each is captured, and says what each was, is and why. A pod that a controller made loses the label with its next replacement; the patch of its template is printed.'
  static override examples = [
    '<%= config.bin %> enroll pod web-1 -n shop',
    '<%= config.bin %> enroll pod -l app=web -n shop --dry-run=client',
  ]
  static override flags = {...namespaceFlag, ...EnrollNamespace.flags}
  // The parser looks at own properties only.
  static override args = EnrollNamespace.args
  static override hiddenAliases = ['enroll:po', 'enroll:pods']
  static override strict = false

  protected override readonly kind = 'pod'
}
