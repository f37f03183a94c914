// SPDX-License-Identifier: Apache-2.0
/** Loaded only for `-o yaml`: the package costs as much as the rest of a small command. */
import {stringify} from 'yaml'

/** Control characters that YAML would carry as they are become U+FFFD. */
export function toYaml(value: unknown): string {
  return stringify(value, {aliasDuplicateObjects: false, lineWidth: 0}).replace(
    /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    '\ufffd',
  )
}
