// SPDX-License-Identifier: Apache-2.0
/** Takes out what the agent put on this node; done twice it does nothing. */
import {messageOf} from '../errors.ts'
import {BYPASS_ANNOTATION} from '../model/bypass.ts'
import {REDIRECTION_ANNOTATION} from '../model/enrollment.ts'
import {type Pod, RESOURCES} from '../model/kube.ts'
import type {Kube, PinTree, PodClasses} from '../ports.ts'
import {type BypassUninstallParts, uninstallBypass} from './bypass-uninstall.ts'
import {ATTACHMENTS_FILE} from './cni-attachments.ts'
import {DECISIONS_FILE, ENROLLED_FILE, keptClasses} from './enroll-state.ts'
import {ID_FILE} from './ids.ts'
import {LEASE_FILE, SETTINGS_FILE} from './levels.ts'
import {foreignPins, pinOwner} from './loader.ts'
import {pinFolder} from './pin-names.ts'
import {KMESH_CLASSID} from './pod-marks.ts'

const STATE_FILES = [ID_FILE, LEASE_FILE, SETTINGS_FILE, ENROLLED_FILE, DECISIONS_FILE, ATTACHMENTS_FILE]

const OURS = [REDIRECTION_ANNOTATION, BYPASS_ANNOTATION]

export interface UninstallParts extends BypassUninstallParts {
  readonly pins: PinTree
  readonly classes: PodClasses
  /** Undefined where no cluster is configured or the node has no name: then annotations stay. */
  readonly kube: Kube | undefined
}

/**
 * Programs, maps, rules against sidecars, state files and the annotations on the node's pods.
 * @returns false where something could not be taken out; it has been said
 * @throws KmeshError `ForeignPins`, then nothing was done
 */
export async function uninstall(
  parts: UninstallParts,
  bpfFsPath: string,
  nodeName: string,
): Promise<boolean> {
  const {pins, files, log} = parts
  if (pinOwner(pins, bpfFsPath) === 'foreign') {
    throw foreignPins(pins, bpfFsPath, 'only the data plane that made them can take them out')
  }
  const found = pins.list(pinFolder(bpfFsPath))
  pins.remove(pinFolder(bpfFsPath))
  log.info(found.length === 0 ? 'no pins were there' : `removed ${found.length} pins: programs are detached`)
  for (const uid of keptClasses(files, log)) parts.classes.take(uid, KMESH_CLASSID)
  // After the programs: a captured pod must not have its sidecar back.
  const isFree = await uninstallBypass(parts)
  for (const name of STATE_FILES) files.remove(name)
  if (parts.kube === undefined) {
    log.warn('no cluster is configured: annotations on pods stay')
    return isFree
  }
  return (await removeAnnotations(parts.kube, log, nodeName)) && isFree
}

async function removeAnnotations(kube: Kube, log: UninstallParts['log'], nodeName: string): Promise<boolean> {
  try {
    const {items} = await kube.list<Pod>(RESOURCES.pods, {fieldSelector: `spec.nodeName=${nodeName}`})
    const claimed = items.filter(({metadata: {annotations = {}}}) =>
      OURS.some((name) => annotations[name] !== undefined),
    )
    for (const {metadata} of claimed) {
      const path = {...RESOURCES.pods, namespace: metadata.namespace, name: metadata.name ?? ''}
      await kube.mergePatch(path, {
        metadata: {
          uid: metadata.uid,
          annotations: Object.fromEntries(OURS.map((name) => [name, null])),
        },
      })
    }
    log.info(`removed the annotation of ${claimed.length} pods`)
    return true
  } catch (error) {
    log.error(`cannot remove annotations: ${messageOf(error)}`)
    return false
  }
}
