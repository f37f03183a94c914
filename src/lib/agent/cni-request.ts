// SPDX-License-Identifier: Apache-2.0
/** Bodies of the CNI socket: JSON with exactly the types that are wanted. */
import {KmeshError, messageOf} from '../errors.ts'
import {
  type CniAttachment,
  type CniGcRequest,
  type CniPodRequest,
  isCniName,
  isInterfaceName,
  isObjectName,
  isPath,
  isUid,
} from '../model/cni.ts'
import {type Fields, isFields} from '../model/hostile.ts'

/** @throws KmeshError `BadRequest` */
export function podRequest(text: string, isDel: boolean): CniPodRequest {
  const fields = objectOf(text)
  const isNetns = (value: string): boolean => (isDel && value === '') || isPath(value)
  return {
    ...attachment(fields),
    netns: checked(fields, 'netns', isNetns, 'an absolute path'),
    network: checked(fields, 'network', isCniName, 'a name of a network'),
    namespace: checked(fields, 'namespace', isObjectName, 'a name'),
    name: checked(fields, 'name', isObjectName, 'a name'),
    uid: checked(fields, 'uid', isUid, 'a uid'),
  }
}

/** @throws KmeshError `BadRequest` */
export function gcRequest(text: string): CniGcRequest {
  const fields = objectOf(text)
  const {attachments} = fields
  if (!Array.isArray(attachments)) throw wrong('attachments', 'a list')
  return {
    network: checked(fields, 'network', isCniName, 'a name of a network'),
    attachments: attachments.map((item: unknown) => {
      if (!isFields(item)) throw wrong('attachments', 'a list of objects')
      return attachment(item)
    }),
  }
}

function attachment(fields: Fields): CniAttachment {
  return {
    containerId: checked(fields, 'containerId', isCniName, 'a container id'),
    ifName: checked(fields, 'ifName', isInterfaceName, 'a name of an interface'),
  }
}

function objectOf(text: string): Fields {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new KmeshError(`the body is no JSON: ${messageOf(error)}`, {code: 'BadRequest', cause: error})
  }
  if (isFields(value)) return value
  throw new KmeshError('the body is no JSON object', {code: 'BadRequest'})
}

function checked(fields: Fields, name: string, isRight: (text: string) => boolean, wanted: string): string {
  const value = fields[name]
  if (typeof value === 'string' && isRight(value)) return value
  throw wrong(name, wanted)
}

function wrong(parameter: string, wanted: string): KmeshError {
  return new KmeshError(`${parameter} is not ${wanted}`, {code: 'BadRequest', parameter})
}
