// SPDX-License-Identifier: Apache-2.0
/** Reads the BTF of a BPF object: maps as they are declared there, and where the fields of a type stand. */
import {execFileSync} from 'node:child_process'

interface BtfType {
  readonly id: number
  readonly kind: string
  readonly name: string
  readonly size?: number
  readonly type_id?: number
  readonly nr_elems?: number
  readonly members?: readonly {
    readonly name: string
    readonly type_id: number
    readonly bits_offset: number
  }[]
  readonly vars?: readonly {readonly type_id: number; readonly offset: number; readonly size: number}[]
}

export interface BtfField {
  readonly name: string
  readonly offset: number
  readonly size: number
}

export interface BtfMap {
  readonly type: number
  readonly maxEntries: number
  readonly keyBytes: number
  readonly valueBytes: number
  readonly keyFields: readonly BtfField[]
  readonly valueFields: readonly BtfField[]
}

const POINTER_BYTES = 8

export class Btf {
  readonly #types: ReadonlyMap<number, BtfType>

  constructor(objectFile: string) {
    const text = execFileSync('bpftool', ['-j', 'btf', 'dump', 'file', objectFile], {encoding: 'utf8'})
    const {types} = JSON.parse(text) as {types: BtfType[]}
    this.#types = new Map(types.map((type) => [type.id, type]))
  }

  /** Maps of section `.maps` by name, in the order of the object. */
  maps(): Map<string, BtfMap> {
    return new Map(this.section('.maps').map(({name, typeId}) => [name, this.#map(typeId)]))
  }

  section(name: string): {name: string; typeId: number; offset: number; size: number}[] {
    const section = [...this.#types.values()].find((type) => type.kind === 'DATASEC' && type.name === name)
    return (section?.vars ?? []).map(({type_id, offset, size}) => {
      const variable = this.#type(type_id)
      return {name: variable.name, typeId: variable.type_id ?? 0, offset, size}
    })
  }

  #type(id: number): BtfType {
    const type = this.#types.get(id)
    if (type === undefined) throw new Error(`no BTF type ${id}`)
    return type
  }

  /** `__uint(name, n)` is a pointer to an array of n, `__type(name, t)` a pointer to t. */
  #map(typeId: number): BtfMap {
    const members = new Map(this.#type(typeId).members?.map((member) => [member.name, member.type_id]))
    const number = (name: string): number => {
      const id = members.get(name)
      return id === undefined ? 0 : (this.#type(this.#type(id).type_id ?? 0).nr_elems ?? 0)
    }
    const pointee = (name: string): number => {
      const id = members.get(name)
      return id === undefined ? 0 : (this.#type(id).type_id ?? 0)
    }
    return {
      type: number('type'),
      maxEntries: number('max_entries'),
      keyBytes: this.#size(pointee('key')),
      valueBytes: this.#size(pointee('value')),
      keyFields: this.#fields(pointee('key')),
      valueFields: this.#fields(pointee('value')),
    }
  }

  #size(typeId: number): number {
    if (typeId === 0) return 0
    const type = this.#type(typeId)
    if (type.kind === 'PTR') return POINTER_BYTES
    if (type.kind === 'ARRAY') return (type.nr_elems ?? 0) * this.#size(type.type_id ?? 0)
    return type.size ?? this.#size(type.type_id ?? 0)
  }

  #fields(typeId: number): BtfField[] {
    if (typeId === 0) return []
    const {kind, members, type_id} = this.#type(typeId)
    if (kind === 'TYPEDEF') return this.#fields(type_id ?? 0)
    return (members ?? []).map((member) => ({
      name: member.name,
      offset: member.bits_offset / 8,
      size: this.#size(member.type_id),
    }))
  }
}
