// SPDX-License-Identifier: Apache-2.0
/** A headless Chromium, driven over its DevTools protocol by two pipes: no port, no library. */
import {type ChildProcess, spawn} from 'node:child_process'
import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Readable, Writable} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'

const ANSWER_TIMEOUT_MS = 30_000
const LOOK_AGAIN_MS = 20

type Fields = Record<string, unknown>

interface Message {
  readonly id?: number
  readonly method?: string
  readonly sessionId?: string
  readonly params?: Fields
  readonly result?: Fields
  readonly error?: {readonly message: string}
}

const FLAGS = [
  '--headless=new',
  '--remote-debugging-pipe',
  // Root has no sandbox of Chromium's; the page is our own.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--hide-scrollbars',
  '--window-size=1500,1050',
  // Nothing is found, whatever asks.
  '--host-resolver-rules=MAP * ~NOTFOUND',
]

export class Browser {
  private readonly child: ChildProcess
  private readonly folder: string
  private readonly ended: Promise<void>
  private readonly waiting = new Map<number, (message: Message) => void>()
  private readonly listeners: ((message: Message) => void)[] = []
  private lastId = 0
  private stderr = ''

  constructor(program = 'chromium') {
    this.folder = mkdtempSync(join(tmpdir(), `kmt${process.pid}-chromium-`))
    this.child = spawn(program, [...FLAGS, `--user-data-dir=${this.folder}`], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
      // Alone in its group: its helpers end with it.
      detached: true,
    })
    this.ended = new Promise((resolve) => this.child.once('close', () => resolve()))
    this.child.stderr?.on('data', (data) => {
      this.stderr = (this.stderr + data).slice(-2000)
    })
    this.listen(this.child.stdio[4] as Readable)
  }

  /** A page of its own, with everything it says and asks for written down. */
  async open(url: string): Promise<Page> {
    const {targetId} = await this.send('Target.createTarget', {url: 'about:blank'})
    const {sessionId} = await this.send('Target.attachToTarget', {targetId, flatten: true})
    const page = new Page(this, String(sessionId))
    this.listeners.push((message) => page.note(message))
    await page.start(url)
    return page
  }

  async send(method: string, params: Fields = {}, sessionId?: string): Promise<Fields> {
    this.lastId += 1
    const id = this.lastId
    const message = {id, method, params, ...(sessionId === undefined ? {} : {sessionId})}
    const answer = new Promise<Message>((resolve) => this.waiting.set(id, resolve))
    const input = this.child.stdio[3] as Writable
    input.write(`${JSON.stringify(message)}\0`)
    const late = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
    const isLate = new Promise<never>((_, reject) => {
      late.addEventListener('abort', () => reject(new Error(`${method}: no answer; ${this.stderr}`)))
    })
    const hasEnded = this.ended.then(() => {
      throw new Error(`chromium ended: ${this.stderr}`)
    })
    const {result = {}, error} = await Promise.race([answer, isLate, hasEnded])
    if (error !== undefined) throw new Error(`${method}: ${error.message}`)
    return result
  }

  async close(): Promise<void> {
    if (this.child.pid !== undefined && this.child.exitCode === null) {
      try {
        process.kill(-this.child.pid, 'SIGKILL')
      } catch {
        // It ended meanwhile.
      }
    }
    await this.ended
    rmSync(this.folder, {recursive: true, force: true, maxRetries: 20, retryDelay: 50})
  }

  private listen(output: Readable): void {
    let rest = ''
    output.setEncoding('utf8')
    output.on('data', (data: string) => {
      const parts = (rest + data).split('\0')
      rest = parts.pop() ?? ''
      for (const part of parts) this.take(JSON.parse(part) as Message)
    })
  }

  private take(message: Message): void {
    if (message.id === undefined) {
      for (const listener of this.listeners) listener(message)
      return
    }
    this.waiting.get(message.id)?.(message)
    this.waiting.delete(message.id)
  }
}

/** Codes of keys whose name is no character. */
const KEY_CODES: Readonly<Record<string, number>> = {
  Tab: 9,
  Enter: 13,
  Escape: 27,
  ' ': 32,
  PageDown: 34,
  End: 35,
  Home: 36,
  ArrowLeft: 37,
  ArrowUp: 38,
  ArrowRight: 39,
  ArrowDown: 40,
}
const CONTROL = 2
const SHIFT = 8

export class Page {
  /** Every address that the page asked for. */
  readonly requests: string[] = []
  /** Exceptions, errors of the console, violations of the page's policy. */
  readonly complaints: string[] = []
  private readonly browser: Browser
  private readonly session: string

  constructor(browser: Browser, session: string) {
    this.browser = browser
    this.session = session
  }

  note({sessionId, method, params = {}}: Message): void {
    if (sessionId !== this.session) return
    const text = JSON.stringify(params)
    if (method === 'Network.requestWillBeSent') this.requests.push((params['request'] as {url: string}).url)
    else if (method === 'Runtime.exceptionThrown' || method === 'Runtime.consoleAPICalled')
      this.complaints.push(text)
    else if (method === 'Log.entryAdded' || method === 'Audits.issueAdded') this.complaints.push(text)
  }

  async start(url: string): Promise<void> {
    for (const domain of ['Page', 'Runtime', 'Network', 'Log', 'Audits']) await this.send(`${domain}.enable`)
    await this.send('Page.navigate', {url})
    await this.until("document.readyState === 'complete' && location.href !== 'about:blank'")
    await this.settled()
  }

  send(method: string, params: Fields = {}): Promise<Fields> {
    return this.browser.send(method, params, this.session)
  }

  /** Value of an expression, as JSON carries it. */
  async read<T>(expression: string): Promise<T> {
    const {result, exceptionDetails} = await this.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    })
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`)
    return (result as {value: T}).value
  }

  /** Waits until an expression is true. */
  async until(expression: string): Promise<void> {
    const end = performance.now() + ANSWER_TIMEOUT_MS
    while (!(await this.read<boolean>(`Boolean(${expression})`))) {
      if (performance.now() > end) throw new Error(`never true: ${expression}`)
      await sleep(LOOK_AGAIN_MS)
    }
  }

  /** A key as somebody presses it: `Tab`, `Shift+Tab`, `Control+End`, `/`. */
  async press(...keys: readonly string[]): Promise<void> {
    for (const words of keys) {
      const [, modifier, key = words] = /^(Control|Shift)\+(.+)$/.exec(words) ?? []
      const modifiers = modifier === 'Control' ? CONTROL : modifier === 'Shift' ? SHIFT : 0
      const windowsVirtualKeyCode = KEY_CODES[key] ?? key.toUpperCase().charCodeAt(0)
      const text = key === 'Enter' ? '\r' : key.length === 1 ? key : ''
      const event = {key, code: key, modifiers, windowsVirtualKeyCode}
      await this.send('Input.dispatchKeyEvent', {...event, type: 'keyDown', ...(text === '' ? {} : {text})})
      await this.send('Input.dispatchKeyEvent', {...event, type: 'keyUp'})
    }
    await this.settled()
  }

  async type(text: string): Promise<void> {
    await this.press(...text)
  }

  /** Two frames later, when what a key started is drawn. */
  async settled(): Promise<void> {
    await this.read('new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => r(true))))')
  }

  /** Width and height of the window, in CSS pixels. */
  async resize(width: number, height: number): Promise<void> {
    await this.send('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    })
  }

  async scheme(value: 'light' | 'dark'): Promise<void> {
    await this.send('Emulation.setEmulatedMedia', {features: [{name: 'prefers-color-scheme', value}]})
  }

  /** PNG of what the window shows. */
  async picture(): Promise<Buffer> {
    const {data} = await this.send('Page.captureScreenshot', {format: 'png'})
    return Buffer.from(String(data), 'base64')
  }

  async pdf(): Promise<Buffer> {
    const {data} = await this.send('Page.printToPDF', {printBackground: true, preferCSSPageSize: true})
    return Buffer.from(String(data), 'base64')
  }
}
