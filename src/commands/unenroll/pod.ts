// SPDX-License-Identifier: Apache-2.0
import EnrollPod from '../enroll/pod.ts'

export default class UnenrollPod extends EnrollPod {
  static override summary = 'Take single pods out of Kmesh'
  static override description =
    'Removes the label; where the namespace would have the pod again, writes the value "none" and says so.'
  static override examples = ['<%= config.bin %> unenroll pod web-1 -n shop']
  // The parser looks at own properties only.
  static override args = EnrollPod.args
  static override hiddenAliases = ['unenroll:po', 'unenroll:pods']
  static override strict = false

  protected override readonly action = 'unenroll'
}
