// SPDX-License-Identifier: Apache-2.0
/** Validates documents of `-o json` against the published schema (draft 2020-12). */
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {Ajv2020} from 'ajv/dist/2020.js'

const SCHEMA = new URL('../../docs/schemas/document.json', import.meta.url)
const schema = JSON.parse(readFileSync(SCHEMA, 'utf8'))
const ajv = new Ajv2020({
  strict: true,
  allErrors: true,
  strictRequired: false,
  strictTypes: false,
  allowUnionTypes: true,
})
ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/)
const validate = ajv.compile(schema)

/** Kinds that the schema describes item by item. */
const KINDS = new Set(
  (schema.allOf as readonly {if: {properties: {kind: {const: string}}}}[]).map(
    (rule) => rule.if.properties.kind.const,
  ),
)

export function checkDocument(document: {readonly kind: string}): void {
  assert.ok(KINDS.has(document.kind), `the schema does not describe ${document.kind}`)
  const {kind} = document
  if (!validate(document)) assert.fail(`${kind}: ${ajv.errorsText(validate.errors)}`)
}
