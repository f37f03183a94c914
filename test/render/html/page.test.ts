// SPDX-License-Identifier: Apache-2.0
// Goal: the page lets only its own script and style run, names no address, and holds the report whole and as text.
// Method: the page of a seeded cluster with hostile names; hashes computed here, data read back as a browser would.
import assert from 'node:assert/strict'
import {createHash} from 'node:crypto'
import {test} from 'node:test'
import {checkPage, scriptJson} from '../../../src/lib/render/html/page.ts'
import {type PageData, visible} from '../../../src/lib/render/html/page-data.ts'
import {
  columnOf,
  filterOf,
  matrixOf,
  type PageFilter,
  pairsOf,
  rowsOf,
} from '../../../src/lib/render/html/page-model.ts'
import {HOSTILE_NAMES, hostileNames, manyNamespaces, place} from './many-namespaces.ts'

const MADE_MS = Date.UTC(2026, 10, 22, 20, 0)
const report = manyNamespaces(3, 4, hostileNames)
const page = checkPage(report, place, MADE_MS)

/** Contents of the elements, as an HTML parser ends them: at the first end tag. */
function contents(tag: 'script' | 'style'): string[] {
  return [...page.matchAll(new RegExp(`<${tag}[^>]*>(.*?)</${tag}`, 'gs'))].map(([, text]) => text ?? '')
}

const data = JSON.parse(contents('script')[0] ?? '') as PageData
const hash = (text: string): string => createHash('sha256').update(text).digest('base64')

test('the policy names the hashes of the one script and the one style, and lets nothing else in', () => {
  const [, script = ''] = contents('script')
  assert.equal(contents('script').length, 2)
  const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(page)?.[1]
  assert.deepEqual(policy?.split('; '), [
    "default-src 'none'",
    `script-src 'sha256-${hash(script)}'`,
    `style-src 'sha256-${hash(contents('style')[0] ?? '')}'`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
  ])
  assert.ok(page.indexOf('Content-Security-Policy') < page.indexOf('<style'))
})

test('nothing but data names an address; nothing reads markup', () => {
  const [json = '', script = ''] = contents('script')
  const own = page.replace(json, '')
  assert.doesNotMatch(own, /https?:|\/\/[a-z]|url\(|@import|\ssrc=/i)
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(/)
  assert.doesNotMatch(own, /\son[a-z]+=|style="/)
})

test('markup is the same whatever the cluster says', () => {
  const other = checkPage(manyNamespaces(9, 2), place, MADE_MS)
  const strip = (text: string) => text.replace(/(id="data">).*?<\/script/s, '$1</script')
  assert.equal(strip(page), strip(other))
})

test('the data is the report: every pair with its verdict, share, texts', () => {
  const read = pairsOf(data).map(({client, server, set}) => {
    const {verdict, works, total, cells} = data.sets[set]!
    const {port} = data.servers[server]!
    return JSON.stringify([
      data.clients[client],
      data.servers[server]?.name,
      port,
      ['works', 'unknown', 'depends', 'fails'][verdict],
      works,
      total,
      cells.map(([kind, endpoints, examples]) => [data.kinds[kind]?.reason, endpoints, examples]),
    ])
  })
  const shown = (value: unknown) =>
    JSON.parse(JSON.stringify(value, (_, part) => (typeof part === 'string' ? visible(part) : part)))
  const wanted = report.items.map(({client, server, verdict, share, cells}) => {
    const {works, fails, unknown} = share
    const found = cells.map(({reason, endpoints, examples}) => [reason, endpoints, examples])
    const {namespace, pods, workloads} = client
    const {name, port} = server
    return JSON.stringify(
      shown([{namespace, pods, workloads}, name, port, verdict, works, works + fails + unknown, found]),
    )
  })
  assert.deepEqual(read.sort(), wanted.sort())
  assert.equal(data.generatedAt, '2026-11-22T20:00:00.000Z')
  assert.deepEqual(
    data.warnings.map(({code}) => code),
    ['NoEndpoints'],
  )
})

test('what a terminal or a browser would obey is spelled out, names stay apart', () => {
  assert.equal(visible('a\u001b[2J\u202eb\u200bc\nd'), 'a\\u001b[2J\\u202eb\\u200bc d')
  assert.equal(visible('caf\u00e9 \u{1f600} </script>'), 'caf\u00e9 \u{1f600} </script>')
  const names = new Set(data.clients.map(({namespace}) => namespace))
  for (const name of HOSTILE_NAMES) assert.ok(names.has(visible(name)), name)
})

test('JSON in a script element ends no element and opens no comment', () => {
  const text = scriptJson({a: '</script><!--<script>&\u2028'})
  assert.doesNotMatch(text, /[<>&\u2028]/)
  assert.deepEqual(JSON.parse(text), {a: '</script><!--<script>&\u2028'})
})

test('filter: every word somewhere in the pair, verdicts and namespaces too', () => {
  const every: PageFilter = {text: '', verdicts: new Set([0, 1, 2, 3]), clients: null, servers: null}
  const pairs = pairsOf(data)
  const count = (more: Partial<PageFilter>) => pairs.filter(filterOf(data, {...every, ...more})).length
  const wanted = (is: (item: (typeof report.items)[number]) => boolean) => report.items.filter(is).length
  assert.equal(count({}), report.items.length)
  assert.equal(count({text: 'no such thing'}), 0)
  assert.equal(
    count({verdicts: new Set([3])}),
    wanted(({verdict}) => verdict === 'fails'),
  )
  assert.equal(
    count({clients: 'ads'}),
    wanted(({client}) => client.namespace === 'ads'),
  )
  assert.equal(
    count({text: ' STRICTREFUSES  __proto__:80 '}),
    wanted(
      ({server, cells}) =>
        server.name === '__proto__' && cells.some(({reason}) => reason === 'StrictRefusesPlainText'),
    ),
  )
})

test('matrix: cells add up to the pairs; a namespace named __proto__ is one', () => {
  const pairs = pairsOf(data)
  const matrix = matrixOf(data, pairs, 'namespaces', 'name')
  const all = matrix.rows.flatMap((row) => matrix.columns.map((column) => matrix.counts(row, column) ?? []))
  assert.equal(
    all.flat().reduce((sum, number) => sum + number, 0),
    pairs.length,
  )
  assert.ok(matrix.rows.includes('__proto__'))
  assert.deepEqual([...matrix.rows], [...matrix.rows].sort())
  const {client, server} = pairs[0]!
  const worst = matrixOf(data, pairs, 'workloads', 'worst')
  const [row = ''] = rowsOf('workloads', data.clients[client]!)
  assert.ok((worst.counts(row, columnOf('workloads', data.servers[server]!))?.length ?? 0) === 4)
})
