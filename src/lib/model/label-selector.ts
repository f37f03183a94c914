// SPDX-License-Identifier: Apache-2.0
/** Grammar of label selectors as Kubernetes has it, to name a typing error before anybody is asked. */

const NAME = `[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?`
const DOMAIN = `[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?`
const KEY = `(?:${DOMAIN}/)?${NAME}`
const VALUE = `(?:${NAME})?`
const REQUIREMENTS: readonly RegExp[] = [
  new RegExp(String.raw`^!?\s*${KEY}$`),
  new RegExp(String.raw`^${KEY}\s*(?:==|=|!=)\s*${VALUE}$`),
  new RegExp(String.raw`^${KEY}\s*[<>]\s*-?\d+$`),
  new RegExp(String.raw`^${KEY}\s+(?:in|notin)\s*\(\s*${VALUE}\s*(?:,\s*${VALUE}\s*)*\)$`),
]

/** The part of a selector that is no requirement; undefined where all are. */
export function badRequirement(selector: string): string | undefined {
  // Commas inside of brackets belong to their requirement.
  const parts = selector.split(/,(?![^()]*\))/).map((part) => part.trim())
  return parts.find((part) => !REQUIREMENTS.some((requirement) => requirement.test(part)))
}
