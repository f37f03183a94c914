// SPDX-License-Identifier: Apache-2.0
/** Takes out what the agent put on this node; done twice it does nothing. */
import {messageOf} from '../errors.ts'
import {isAnnotatedCaptured, REDIRECTION_ANNOTATION} from '../model/enrollment.ts'
import {type Pod, RESOURCES} from '../model/kube.ts'
import type {Kube, Log, PinTree, PodClasses, StateFiles} from '../ports.ts'
import {ATTACHMENTS_FILE} from './cni-attachments.ts'
import {DECISIONS_FILE, ENROLLED_FILE, keptClasses} from './enroll-state.ts'
import {ID_FILE} from './ids.ts'
import {LEASE_FILE, SETTINGS_FILE} from './levels.ts'
import {foreignPins, pinOwner} from './loader.ts'
import {pinFolder} from './pin-names.ts'
import {KMESH_CLASSID} from './pod-marks.ts'

const STATE_FILES = [ID_FILE, LEASE_FILE, SETTINGS_FILE, ENROLLED_FILE, DECISIONS_FILE, ATTACHMENTS_FILE]

export interface UninstallParts {
  readonly pins: PinTree
  readonly files: StateFiles
  readonly classes: PodClasses
  /** Undefined where no cluster is configured or the node has no name: then annotations stay. */
  readonly kube: Kube | undefined
  readonly log: Log
}

/**
 * Programs, maps, state files and the annotations on the node's pods.
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
  for (const name of STATE_FILES) files.remove(name)
  if (parts.kube === undefined) {
    log.warn('no cluster is configured: annotations on pods stay')
    return true
  }
  return removeAnnotations(parts.kube, log, nodeName)
}

async function removeAnnotations(kube: Kube, log: Log, nodeName: string): Promise<boolean> {
  try {
    const {items} = await kube.list<Pod>(RESOURCES.pods, {fieldSelector: `spec.nodeName=${nodeName}`})
    const claimed = items.filter((pod) => isAnnotatedCaptured(pod.metadata.annotations))
    for (const {metadata} of claimed) {
      const path = {...RESOURCES.pods, namespace: metadata.namespace, name: metadata.name ?? ''}
      await kube.mergePatch(path, {
        metadata: {uid: metadata.uid, annotations: {[REDIRECTION_ANNOTATION]: null}},
      })
    }
    log.info(`removed the annotation of ${claimed.length} pods`)
    return true
  } catch (error) {
    log.error(`cannot remove annotations: ${messageOf(error)}`)
    return false
  }
}
