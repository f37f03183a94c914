// SPDX-License-Identifier: Apache-2.0
// Goal: the page of interop check opens in a real browser without an error or a request, and works by keyboard alone.
// Method: headless Chromium by its DevTools protocol; a seeded cluster of 50 namespaces judged by the real rules, with
// hostile names put in; sums are compared with sums over the report. KMESH_PICTURES=1 writes docs/interop-check*.png.
import assert from 'node:assert/strict'
import {spawnSync} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {pathToFileURL} from 'node:url'
import type {CheckItem} from '../../src/lib/model/interop-check.ts'
import {checkPage} from '../../src/lib/render/html/page.ts'
import {Browser, type Page} from '../browser.ts'
import {hostileNames, manyNamespaces, place} from '../render/html/many-namespaces.ts'

const MADE_MS = Date.UTC(2026, 10, 22, 20, 0)
const report = manyNamespaces(7, 50)
const folder = mkdtempSync(join(tmpdir(), `kmt${process.pid}-page-`))

const hasChromium = spawnSync('chromium', ['--version']).status === 0
const mustRun = process.env['KMESH_REQUIRE_KERNEL'] === '1'
const skip = hasChromium || mustRun ? false : 'chromium is not installed'
let browser: Browser

before(() => {
  if (skip !== false) return
  assert.ok(hasChromium, 'chromium is not installed')
  browser = new Browser()
})

after(async () => {
  await browser?.close()
  rmSync(folder, {recursive: true, force: true})
})

async function open(text: string, name: string): Promise<Page> {
  const file = join(folder, `${name}.html`)
  writeFileSync(file, text)
  return browser.open(pathToFileURL(file).href)
}

const openBig = (name: string): Promise<Page> => open(checkPage(report, place, MADE_MS), name)
const focused = (page: Page): Promise<string> =>
  page.read("document.activeElement.getAttribute('aria-label') ?? document.activeElement.id")
const status = (page: Page): Promise<string> => page.read("document.getElementById('count').textContent")

/** Rows and columns that the grid says it has, without its heads. */
async function sizeOf(page: Page): Promise<readonly [number, number]> {
  return page.read(
    '["aria-rowcount", "aria-colcount"].map((name) => document.getElementById("matrix").getAttribute(name) - 1)',
  )
}

function countOf(is: (item: CheckItem) => boolean): string {
  return report.items.filter(is).length.toLocaleString('en')
}

/** The page did nothing that somebody would have to look at. */
function assertQuiet(page: Page, name: string): void {
  assert.deepEqual(page.complaints, [])
  assert.deepEqual(page.requests, [pathToFileURL(join(folder, `${name}.html`)).href])
}

test('50 namespaces: no error, no request; headline, matrix and sums are those of the report', {
  skip,
}, async () => {
  const page = await openBig('opens')
  assert.equal(report.items.length > 5000, true)
  const {fails = 0, depends = 0, unknown = 0} = report.summary['verdicts'] as Record<string, number>
  assert.equal(
    await page.read('document.getElementById("headline").textContent'),
    `Of ${countOf(() => true)} pairs of clients and services ${fails} fail, ${depends} fail at some endpoints, ${unknown} cannot be told.`,
  )
  assert.match(
    await page.read('document.getElementById("place").textContent'),
    /cluster prod-eu-1.*2026-11-22 20:00:00 UTC/,
  )
  assert.deepEqual(await sizeOf(page), [50, 50])
  const cell = (client: string, server: string) =>
    page.read<string>(
      `document.querySelector('[aria-label^="${client} to ${server}:"]').getAttribute('aria-label')`,
    )
  for (const [client, server] of [
    ['chat', 'discovery'],
    ['gateway', 'metrics'],
    ['reports', 'reports'],
  ] as const) {
    const pairs = report.items.filter(
      (item) => item.client.namespace === client && item.server.namespace === server,
    )
    const parts = (['fails', 'depends', 'unknown', 'works'] as const)
      .map((verdict) => [verdict, pairs.filter((item) => item.verdict === verdict).length] as const)
      .filter(([, number]) => number > 0)
    const sums = parts.map(([name, number]) => `${name} ${number}`).join(', ')
    assert.equal(await cell(client, server), `${client} to ${server}: ${sums}`)
  }
  assert.equal(await page.read('document.querySelectorAll("#pairs > li").length'), 100)
  assertQuiet(page, 'opens')
})

test('filters by keyboard only: text, verdicts, namespaces, reset; the live region counts', {
  skip,
}, async () => {
  const page = await openBig('filters')
  await page.press('/')
  assert.equal(await focused(page), 'text')
  await page.type('strictrefuses discovery/api')
  const isStrict = ({server, cells}: CheckItem): boolean =>
    `${server.namespace}/${server.name}`.startsWith('discovery/api') &&
    cells.some(({reason}) => reason === 'StrictRefusesPlainText')
  assert.ok((await status(page)).startsWith(`Showing ${countOf(isStrict)} of ${countOf(() => true)} pairs`))
  assert.notEqual(countOf(isStrict), '0')
  await page.press('Escape')
  assert.ok((await status(page)).startsWith(`Showing ${countOf(() => true)} of`))
  // Back over the four verdicts, of which the nearest is `works`.
  await page.press('Shift+Tab', 'Enter')
  assert.equal(await page.read("document.activeElement.getAttribute('aria-pressed')"), 'false')
  assert.ok((await status(page)).startsWith(`Showing ${countOf(({verdict}) => verdict !== 'works')} of`))
  await page.press('Enter', 'Tab', 'Tab')
  assert.equal(await focused(page), 'clients')
  await page.type('chat')
  assert.ok(
    (await status(page)).startsWith(`Showing ${countOf(({client}) => client.namespace === 'chat')} of`),
  )
  await page.press('Tab')
  await page.type('metr')
  const both = ({client, server}: CheckItem) => client.namespace === 'chat' && server.namespace === 'metrics'
  assert.ok((await status(page)).startsWith(`Showing ${countOf(both)} of`))
  await page.press('Tab', 'Tab', 'Tab', 'Enter')
  assert.ok((await status(page)).startsWith(`Showing ${countOf(() => true)} of`))
  assertQuiet(page, 'filters')
})

test('matrix by keyboard: one tab stop, arrows move, Enter lists and opens, Escape closes and comes back', {
  skip,
}, async () => {
  const page = await openBig('matrix')
  await page.press('/', 'Tab', 'Tab', 'Tab', 'Tab', 'Tab', 'Tab')
  assert.match(await focused(page), /^chat to discovery: fails 7/)
  const outline = await page.read<string>('getComputedStyle(document.activeElement).outlineStyle')
  assert.equal(outline, 'solid')
  await page.press('ArrowRight', 'ArrowDown')
  assert.match(await focused(page), /^gateway to metrics: fails/)
  await page.press('Control+End')
  const rows = await page.read<string>("document.querySelector('#matrix tbody tr:last-child th').textContent")
  assert.ok((await focused(page)).startsWith(`${rows} to `))
  await page.press('Control+Home', 'Enter')
  const inCell = ({client, server}: CheckItem) =>
    client.namespace === 'chat' && server.namespace === 'discovery'
  assert.ok((await status(page)).startsWith(`Showing ${countOf(inCell)} of`))
  assert.equal(await page.read('document.activeElement.closest("#pairs") !== null'), true)
  await page.press('Enter')
  const details = await page.read<string>('document.querySelector(".details").innerText')
  assert.match(details, /the client sends plain text, the server takes TLS only/)
  assert.match(details, /Fix\s+set the mTLS mode of that port to PERMISSIVE/)
  assert.match(details, /mTLS of the port\s+STRICT/)
  assert.match(details, /PeerAuthentication\s+discovery\/default \(namespace\)/)
  assert.match(details, /DestinationRule\s+none decides/)
  assert.match(details, /For example\s+\w+-\d+-0/)
  await page.press('Escape')
  assert.equal(await page.read('document.querySelector(".details")'), null)
  await page.press('ArrowDown')
  assert.equal(await page.read('document.activeElement.dataset.index'), '1')
  await page.press('Escape')
  assert.match(await focused(page), /^chat to discovery/)
  assert.ok((await status(page)).startsWith(`Showing ${countOf(() => true)} of`))
  assertQuiet(page, 'matrix')
})

test('workloads and services: only what is seen is drawn, the far corner is reached by keys', {
  skip,
}, async () => {
  const page = await openBig('workloads')
  await page.press('/', 'Tab', 'Tab', 'Tab')
  await page.type('work')
  const [rows, columns] = await sizeOf(page)
  assert.equal(columns, new Set(report.items.map(({server}) => `${server.namespace}/${server.name}`)).size)
  assert.ok(rows > 200)
  assert.ok((await page.read<number>('document.querySelectorAll("[role=gridcell]").length')) < 3000)
  await page.press('Tab', 'Tab', 'Tab', 'Control+End')
  const at = await page.read<{row: string; column: string}>('({...document.activeElement.dataset})')
  assert.deepEqual(at, {row: String(rows - 1), column: String(columns - 1)})
  const isSeen = await page.read<boolean>(`(() => {
    const cell = document.activeElement.getBoundingClientRect()
    return document.elementFromPoint(cell.x + cell.width / 2, cell.y + cell.height / 2)?.closest('td') === document.activeElement
  })()`)
  assert.equal(isSeen, true)
  assertQuiet(page, 'workloads')
})

test('hostile names are text', {skip}, async () => {
  const hostile = manyNamespaces(7, 3, hostileNames)
  const page = await open(checkPage(hostile, place, MADE_MS), 'hostile')
  const text = await page.read<string>('document.body.innerText')
  assert.ok(text.includes('</script><img src=x onerror=alert(1)>'))
  assert.ok(text.includes('\\u202eevil'))
  assert.ok(!/[\u001b\u202e]/.test(text))
  assert.equal(await page.read('document.images.length + document.scripts.length'), 2)
  assert.equal(await page.read('"pwned" in window'), false)
  assertQuiet(page, 'hostile')
})

test('the policy of the page stops a script and a request that somebody puts in', {skip}, async () => {
  const name = 'policy'
  const evil = '<script>window.pwned = 1</script><img src="https://evil.example/x.png">'
  const page = await open(checkPage(report, place, MADE_MS).replace('<main>', `${evil}<main>`), name)
  assert.equal(await page.read('"pwned" in window'), false)
  assert.ok(page.complaints.some((text) => text.includes('script-src')))
  assert.ok(page.complaints.some((text) => text.includes('img-src')))
})

test('light, dark and paper', {skip}, async () => {
  const page = await openBig('looks')
  const background = () => page.read<string>('getComputedStyle(document.body).backgroundColor')
  await page.scheme('dark')
  const dark = await background()
  if (process.env['KMESH_PICTURES'] === '1') await keep(page, 'interop-check-dark')
  await page.scheme('light')
  assert.notEqual(await background(), dark)
  if (process.env['KMESH_PICTURES'] === '1') await keep(page, 'interop-check')
  // On paper all rows and columns stand there.
  await page.read(
    'addEventListener("beforeprint", () => { window.printed = document.querySelectorAll("[role=gridcell]").length })',
  )
  assert.ok((await page.pdf()).length > 20_000)
  assert.equal(await page.read('window.printed'), 2500)
  assertQuiet(page, 'looks')
})

/** A cell chosen and its first pair open, in a window that holds all of that. */
async function keep(page: Page, name: string): Promise<void> {
  await page.resize(1500, 1450)
  if (!(await page.read<boolean>('document.querySelector(".details") !== null'))) {
    await page.press('/', 'Tab', 'Tab', 'Tab', 'Tab', 'Tab', 'Tab', 'Enter', 'Enter')
  }
  await page.read('scrollTo(0, 0)')
  await page.settled()
  writeFileSync(join(import.meta.dirname, '../../docs', `${name}.png`), await page.picture())
}
