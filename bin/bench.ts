// SPDX-License-Identifier: Apache-2.0
/** Prints the rows of every benchmark: ratios and counts, each beside its budget. A file or a part of its name selects. */
import {globSync} from 'node:fs'
import {join} from 'node:path'

interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly budget: number
}

const root = join(import.meta.dirname, '..')
const only = process.argv[2] ?? ''
let over = 0

for (const file of globSync('test/bench/*.ts', {cwd: root}).sort()) {
  if (!file.includes(only)) continue
  const module = (await import(join(root, file))) as {rows?: () => Promise<readonly Row[]>}
  if (module.rows === undefined) continue
  console.log(`\n${file}`)
  for (const row of await module.rows()) {
    const within = row.value <= row.budget
    if (!within) over += 1
    const value = row.value.toFixed(2).padStart(10)
    console.log(
      `${value} ${row.unit.padEnd(6)} budget ${String(row.budget).padStart(6)}  ${within ? 'ok  ' : 'OVER'}  ${row.name}`,
    )
  }
}
console.log(over === 0 ? '\nall within budget' : `\n${over} over budget`)
process.exitCode = over === 0 ? 0 : 1
