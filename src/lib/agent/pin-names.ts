// SPDX-License-Identifier: Apache-2.0
/** Where maps and links are pinned (contracts 4.1). The BPF file system allows no dots in names. */
import {join} from 'node:path'

const FOLDER = 'bpf_kmesh_workload'

/** Below the BPF file system; everything in it is ours or foreign as a whole. */
export function pinFolder(bpfFsPath: string): string {
  return join(bpfFsPath, FOLDER)
}

/**
 * `map` is what the programs use. `map_next` is being filled for the next programs and means nothing yet.
 * `map_ready` is complete: whoever finds it puts its pins in place of those in `map`.
 */
export type MapFolder = 'map' | 'map_next' | 'map_ready'

export function mapFolder(bpfFsPath: string, folder: MapFolder): string {
  return join(pinFolder(bpfFsPath), folder)
}

export function mapPin(bpfFsPath: string, map: string, folder: MapFolder = 'map'): string {
  return join(mapFolder(bpfFsPath, folder), map)
}

/** Program -> pin of its link, below the folder. */
export const LINKS = {
  cgroup_connect4_prog: 'sockconn/sockconn_prog',
  cgroup_connect6_prog: 'sockconn/sockconn6_prog',
} as const
