// SPDX-License-Identifier: Apache-2.0
/**
 * `interop check -o html`: one page that needs nothing but itself. Markup is constant; all that comes from a cluster
 * is JSON that the script shows as text. The policy in it lets only this script and this style run and asks nobody.
 */
import {createHash} from 'node:crypto'
import type {CheckItem} from '../../model/interop-check.ts'
import type {Report} from '../../model/report.ts'
import {escapeJsonText} from '../text.ts'
import {PAGE_SCRIPT, PAGE_STYLE} from './assets.generated.ts'
import {type PagePlace, pageData} from './page-data.ts'

/** @param nowMs - when the report was made, milliseconds since 1970 */
export function checkPage(report: Report<CheckItem>, place: PagePlace, nowMs: number): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="kmeshctl interop check">
<link rel="icon" href="data:,">
<title>Interop check</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
${BODY}
<script type="application/json" id="data">${scriptJson(pageData(report, place, nowMs))}</script>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`
}

function policy(): string {
  return [
    "default-src 'none'",
    `script-src '${hashOf(PAGE_SCRIPT)}'`,
    `style-src '${hashOf(PAGE_STYLE)}'`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ')
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}

/** JSON that ends no script element and opens no comment, whatever its texts say. */
export function scriptJson(value: unknown): string {
  return escapeJsonText(JSON.stringify(value)).replace(/[<>&]/g, (character) =>
    character === '<' ? '\\u003c' : character === '>' ? '\\u003e' : '\\u0026',
  )
}

const BODY = `<header>
<div><h1>Which connections work</h1><p id="place"></p></div>
<p id="keys" class="keys"><kbd>/</kbd> filter <kbd>Tab</kbd> next part <kbd>←↑→↓</kbd> move <kbd>Enter</kbd> open <kbd>Esc</kbd> close</p>
</header>
<noscript><p class="notice">This page shows its data with a script of its own; scripts are switched off here.</p></noscript>
<main>
<p id="headline"></p>
<section id="notices" aria-label="What could not be read or judged" hidden></section>
<form id="filters" role="search" aria-label="Filter pairs">
<div id="verdicts" role="group" aria-label="Verdicts that are shown"></div>
<div class="fields">
<label>Filter<input id="text" type="search" autocomplete="off" spellcheck="false" aria-keyshortcuts="/" placeholder="name, reason, policy"></label>
<label>Clients in<select id="clients"></select></label>
<label>Servers in<select id="servers"></select></label>
<label>Matrix of<select id="mode"><option value="namespaces">namespaces</option><option value="workloads">workloads and services</option></select></label>
<label>Order<select id="order"><option value="worst">worst first</option><option value="name">by name</option></select></label>
<button type="button" id="reset">Reset</button>
</div>
</form>
<p id="count" role="status" aria-live="polite"></p>
<section aria-labelledby="matrix-title">
<h2 id="matrix-title">Who calls whom</h2>
<p class="hint" id="matrix-hint">Rows call columns. A cell tells its worst verdict and how many pairs have it; <span id="size"></span>.</p>
<div id="viewport"><table id="matrix" role="grid" aria-labelledby="matrix-title" aria-describedby="matrix-hint" aria-readonly="true"></table></div>
</section>
<section aria-labelledby="pairs-title">
<div class="pairs-head"><h2 id="pairs-title" tabindex="-1">Pairs</h2><button type="button" id="scope" hidden></button></div>
<ul id="pairs" aria-labelledby="pairs-title"></ul>
<button type="button" id="more" hidden></button>
<p id="rest"></p>
</section>
</main>`
