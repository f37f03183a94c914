// SPDX-License-Identifier: Apache-2.0
import {isIP} from 'node:net'
import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {filledFlag, kubeFlags, meshFlags, outputFlags, targetFlags} from '../../lib/cli/flags.ts'
import {UsageError} from '../../lib/errors.ts'
import {normalText, sortKey} from '../../lib/model/map-item.ts'
import type {DaemonAccess} from '../../lib/ops/access.ts'
import {type DumpRequest, streamMaps} from '../../lib/ops/dump.ts'
import {type SortedFormat, SortedItems} from '../../lib/render/sorted-items.ts'
import {mapView} from '../../lib/render/views-map.ts'

export default class DumpMaps extends BaseCommand<typeof DumpMaps> {
  static override summary = 'Show the entries of the BPF maps, decoded'
  static override description =
    'Without MAP every map that can be read. Ids are shown with the names of their services and workloads. -o jsonl streams and holds nothing; the other formats are sorted by key.'
  static override examples = [
    '<%= config.bin %> dump maps km_frontend --node worker-1',
    '<%= config.bin %> dump maps --service shop/cart -o json',
    '<%= config.bin %> dump maps -o jsonl | gzip > maps.jsonl.gz',
  ]
  static override strict = false
  static override args = {map: Args.string({description: 'name of a map, several are allowed'})}
  static override flags = {
    raw: Flags.boolean({description: 'also the bytes of keys and values, in hex'}),
    namespace: filledFlag({char: 'n', description: 'only entries of this namespace', helpValue: 'NAME'}),
    service: filledFlag({description: 'only entries of this service', helpValue: '[NAMESPACE/]NAME'}),
    address: Flags.string({description: 'only entries with this address', helpValue: 'IP'}),
    ...outputFlags(['table', 'json', 'yaml', 'jsonl']),
    ...targetFlags,
    ...meshFlags,
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    const request = this.request()
    const access = await this.daemonAccess()
    if (this.format !== 'jsonl') return this.showSorted(access, request, this.format as SortedFormat)
    const outcome = await streamMaps(access, request, (item) => this.emit('ITEM', item))
    for (const error of outcome.errors) await this.emit('ERROR', error)
    for (const warning of outcome.warnings) await this.emit('WARNING', warning)
    await this.emit('SUMMARY', outcome.summary)
    this.finish(outcome)
  }

  private async showSorted(access: DaemonAccess, request: DumpRequest, format: SortedFormat): Promise<void> {
    const view = mapView(request.raw)
    const sorted = new SortedItems(format, view, this.renderContext)
    const outcome = await streamMaps(access, request, (item) => {
      sorted.add(item, {node: item.node, list: item.map, key: sortKey(item.key)})
      return undefined
    })
    const report = {...outcome, items: []}
    await this.presentPieces(sorted.pieces(report), sorted.count, report, view)
  }

  private request(): DumpRequest {
    const {namespace, service, address, raw} = this.flags
    if (address !== undefined && (isIP(address) === 0 || address.includes('%'))) throw badAddress(address)
    return {
      maps: [...new Set(this.words)],
      raw,
      filter: {namespace, service, address: address === undefined ? undefined : normalText(address)},
    }
  }
}

function badAddress(address: string): UsageError {
  return new UsageError(`--address: '${address}' is not an IP address`, {parameter: '--address'})
}
