// SPDX-License-Identifier: Apache-2.0
import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {durationFlag, kubeFlags, meshFlags, outputFlags, selectorFlag, yesFlag} from '../../lib/cli/flags.ts'
import {errorStream} from '../../lib/cli/wiring.ts'
import {UsageError} from '../../lib/errors.ts'
import {type ProgressSink, ProgressStore, progressLines} from '../../lib/live/enroll-progress.ts'
import {isSystemNamespace, type Plan, type PlanAction, writesOf} from '../../lib/model/plan.ts'
import {WAIT_LEVELS} from '../../lib/model/plan-node.ts'
import {DRY_RUNS, enrollReport, plannedReport} from '../../lib/model/plan-result.ts'
import type {ReportWarning} from '../../lib/model/report.ts'
import {kubeOf} from '../../lib/ops/daemons.ts'
import {carryOut, prepareEnroll} from '../../lib/ops/enroll.ts'
import {daemonTargets} from '../../lib/ops/enroll-facts.ts'
import {interopChange} from '../../lib/ops/enroll-interop.ts'
import {enrollQuestion, enrollView, interopLines} from '../../lib/render/enroll.ts'
import {DOCUMENT_FORMATS, FORMATS} from '../../lib/render/formats.ts'
import {renderTable} from '../../lib/render/table.ts'

/** Rows of the plan above the question: what fits a screen. */
const ROWS_ASKED = 30

/** Also the base of its three siblings, which differ in `action` and `kind`. */
export default class EnrollNamespace extends BaseCommand<typeof EnrollNamespace> {
  static override summary: string = 'Put namespaces under Kmesh'
  static override description: string =
    'Labels the namespaces, waits until each running pod is captured, and says what each pod was, is and why.'
  static override examples: string[] = [
    '<%= config.bin %> enroll namespace shop',
    '<%= config.bin %> enroll namespace shop bank --dry-run=client -o json',
    '<%= config.bin %> enroll namespace -l team=web --yes --timeout 2m',
  ]
  static override hiddenAliases: string[] = ['enroll:ns', 'enroll:namespaces']
  static override strict = false
  static override args = {name: Args.string({description: 'one name or several', required: false})}
  static override flags = {
    ...selectorFlag,
    all: Flags.boolean({description: 'every one there is', exclusive: ['selector']}),
    'dry-run': Flags.option({options: DRY_RUNS})({
      description: 'client: only plan; server: let the API server check, store nothing',
      default: 'none',
    }),
    overwrite: Flags.boolean({
      description: 'replace another value of the label (without it: code OverwriteNeeded, exit 7)',
    }),
    'allow-system': Flags.boolean({description: 'also kube-*, istio-system and the namespace of the mesh'}),
    wait: Flags.boolean({description: 'wait until the pods follow', default: true, allowNo: true}),
    'wait-for': Flags.option({options: WAIT_LEVELS})({
      description: 'how far to wait (default: the strongest that the daemon of the node can tell)',
    }),
    timeout: durationFlag({
      description: 'how long to wait; exit 5 when it passes',
      default: 60_000,
      defaultHelp: async () => '60s',
    }),
    ...yesFlag,
    ...outputFlags(DOCUMENT_FORMATS),
    ...meshFlags,
    ...kubeFlags,
  }

  protected readonly action: PlanAction = 'enroll'
  protected readonly kind: 'namespace' | 'pod' = 'namespace'

  protected async execute(): Promise<void> {
    this.checkNames()
    const podsOf = this.kind === 'pod' ? await this.namespace() : undefined
    this.checkSystem(podsOf === undefined ? this.words : [podsOf])
    const access = await this.daemonAccess()
    const {dialer, clock, signal, concurrency} = access
    const deps = {kube: kubeOf(access), dialer, clock, signal}
    const {
      overwrite,
      'allow-system': allowSystem,
      'mesh-namespace': meshNamespace,
      'dry-run': dryRun,
    } = this.flags
    const prepared = await prepareEnroll(deps, {
      options: {action: this.action, overwrite, allowSystem, meshNamespace},
      selection: {names: this.words, selector: this.flags.selector, all: this.flags.all},
      podsOf,
      findDaemons: () => daemonTargets(access),
      concurrency,
    })
    const findDaemons = (): ReturnType<typeof daemonTargets> => daemonTargets(access)
    // With --yes nobody is asked: the whole cluster is not read for an answer that is there.
    const isShown = dryRun !== 'none' || !this.flags.yes
    const found = isShown ? await interopChange(deps, prepared.plan, {findDaemons, concurrency}) : undefined
    const interop = found?.interop ?? null
    for (const line of interopLines(interop)) this.say(line)
    await this.confirmPlan(prepared.plan, interop?.breaks ?? 0, found?.warnings ?? [])
    const wait = this.flags.wait ? {level: this.flags['wait-for'], timeoutMs: this.flags.timeout} : null
    const progress = this.openProgress()
    const outcome = await carryOut(deps, prepared, {
      dryRun,
      wait,
      onProgress: (step) => progress.update(step),
    }).finally(() => progress.close())
    const report = enrollReport(prepared.plan, outcome)
    const warnings = [...report.warnings, ...(found?.warnings ?? [])]
    await this.present({...report, summary: {...report.summary, interop}, warnings}, enrollView)
  }

  private checkNames(): void {
    const {selector, all} = this.flags
    const given = [this.words.length > 0, selector !== undefined, all].filter(Boolean).length
    if (given > 1) throw new UsageError(`names, --selector and --all exclude each other`)
    if (given === 0) {
      throw new UsageError(`which ${this.kind}? none is named`, {hints: ['give names, --selector or --all']})
    }
    const wrong = this.words.find((name) => !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name))
    if (wrong !== undefined)
      throw new UsageError(`'${wrong}' is no name of a ${this.kind}`, {parameter: 'name'})
    const asks = this.kind === 'namespace' && this.flags['dry-run'] === 'none' && !this.flags.yes
    if (asks && !this.terminal.interactive) {
      throw new UsageError(`${this.action} namespace asks before it writes, and nobody can answer here`, {
        hints: ['use --yes to go on'],
      })
    }
  }

  /** With a selector or --all they are only left out. */
  private checkSystem(namespaces: readonly string[]): void {
    const system = namespaces.find((name) => isSystemNamespace(name, this.flags['mesh-namespace']))
    if (system === undefined || this.flags['allow-system']) return
    throw new UsageError(`${system} is a system namespace`, {
      code: 'SystemNamespace',
      hints: ['--allow-system changes it all the same'],
    })
  }

  /** Shows what would happen before it asks; nothing to write is nothing to ask. */
  private async confirmPlan(plan: Plan, breaks: number, more: readonly ReportWarning[]): Promise<void> {
    if (this.flags['dry-run'] !== 'none' || this.flags.yes || writesOf(plan).length === 0) return
    if (this.kind === 'pod' && breaks === 0) return
    const style = {color: this.terminal.colorErr, wide: false, headers: true}
    const {items} = plannedReport(plan)
    this.terminal.err(await renderTable(enrollView.columns, items.slice(0, ROWS_ASKED), style))
    if (items.length > ROWS_ASKED) {
      this.say(`and ${items.length - ROWS_ASKED} more; --dry-run=client shows all of them`)
    }
    for (const warning of [...plan.warnings, ...more]) this.say(`warning: ${warning.message}`)
    await this.confirm(enrollQuestion(plan, breaks))
  }

  private openProgress(): ProgressSink {
    if (this.flags.quiet) return {update: () => undefined, close: () => undefined}
    if (!this.terminal.animated || FORMATS[this.format].machine) {
      return progressLines(this.action, this.clock, (line) => this.say(line))
    }
    return this.openLiveProgress()
  }

  /** Ink is loaded with the first step: most runs need no waiting. */
  private openLiveProgress(): ProgressSink {
    const store = new ProgressStore(this.clock)
    let hide: (() => void) | undefined
    let isClosed = false
    let isAsked = false
    const show = async (): Promise<void> => {
      const {showProgress} = await import('../../lib/render/enroll-progress.tsx')
      if (!isClosed) hide = showProgress(errorStream(), this.action, store)
    }
    return {
      update: (step) => {
        store.update(step)
        if (isAsked) return
        isAsked = true
        show().catch((error) => this.logger.warn('no live view', {error: String(error)}))
      },
      close: () => {
        isClosed = true
        hide?.()
        store.close()
      },
    }
  }
}
