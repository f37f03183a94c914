// SPDX-License-Identifier: Apache-2.0
import EnrollNamespace from '../enroll/namespace.ts'

export default class UnenrollNamespace extends EnrollNamespace {
  static override summary = 'Take namespaces out of Kmesh'
  static override description =
    'Removes the label, waits until each running pod is released, and names the pods that stay by a label of their own.'
  static override examples = [
    '<%= config.bin %> unenroll namespace shop',
    '<%= config.bin %> unenroll namespace --all --dry-run=client',
  ]
  // The parser looks at own properties only.
  static override args = EnrollNamespace.args
  static override hiddenAliases = ['unenroll:ns', 'unenroll:namespaces']
  static override strict = false

  protected override readonly action = 'unenroll'
}
