// SPDX-License-Identifier: Apache-2.0
/** containerd with its CRI on a machine of a test, and pods run through it as a kubelet does. */
import {mkdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {eventually} from '../e2e/harness.ts'
import {type Answer, Cri, map, messagesOf, textOf} from './cri.ts'
import {type Machine, put} from './machine.ts'
import {writeImages} from './oci-image.ts'

const PAUSE = 'kmesh.test/pause:1'
export const BUSYBOX = 'kmesh.test/busybox:1'
const EXITED = 2

export interface RuntimePod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface Runtime {
  readonly cri: Cri
  /** Types of the plugins that containerd would run now. */
  plugins(): Promise<string[]>
  /** @returns id of the pod's sandbox @throws CriError */
  runPod(pod: RuntimePod): Promise<string>
  /** Starts a container with that shell script, waits for its end. @returns what it printed */
  runScript(pod: RuntimePod, sandbox: string, script: string): Promise<string>
  removePod(sandbox: string): Promise<void>
}

export interface RuntimeOptions {
  readonly configDir: string
  readonly programDir: string
  readonly busybox: string
}

function configText(machine: Machine, options: RuntimeOptions): string {
  const at = (folder: string): string => JSON.stringify(join(machine.directory, folder))
  const cri = '"io.containerd.grpc.v1.cri"'
  return `version = 2
root = ${at('root')}
state = ${at('state')}
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = ${at('c.sock')}
[plugins."io.containerd.internal.v1.opt"]
  path = ${at('opt')}
[plugins.${cri}]
  sandbox_image = "${PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
[plugins.${cri}.cni]
  bin_dir = ${JSON.stringify(options.programDir)}
  conf_dir = ${JSON.stringify(options.configDir)}
[plugins.${cri}.containerd]
  snapshotter = "native"
[plugins.${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.${cri}.containerd.runtimes.runc.options]
  Root = ${at('runc')}
`
}

/** Resolves when it answers and has its images. */
export async function startRuntime(machine: Machine, options: RuntimeOptions): Promise<Runtime> {
  const config = put(machine, 'containerd.toml', configText(machine, options))
  const socket = join(machine.directory, 'c.sock')
  machine.start('containerd.log', 'containerd', '--config', config)
  const archive = join(machine.directory, 'images.tar')
  writeImages(archive, {
    busybox: options.busybox,
    commands: ['sh', 'sleep', 'wget'],
    images: {[PAUSE]: ['/bin/sleep', '1000000'], [BUSYBOX]: ['/bin/sh', '-c']},
  })
  const cri = await eventually('containerd', async () => {
    const client = new Cri(socket)
    try {
      await client.call('Version', {})
      return client
    } catch (error) {
      client.close()
      throw error
    }
  })
  const ctr = ['-a', socket, '-n', 'k8s.io', 'images', 'import', '--snapshotter', 'native', archive]
  await machine.run('ctr', ...ctr)
  for (const image of [PAUSE, BUSYBOX]) {
    await eventually(
      `image ${image}`,
      async () => messagesOf(await cri.call('ImageStatus', {1: {1: image}}, 'ImageService'), 1)[0],
    )
  }
  return runtimeOf(machine, cri)
}

function runtimeOf(machine: Machine, cri: Cri): Runtime {
  const logs = join(machine.directory, 'pods')
  mkdirSync(logs)
  const podConfig = ({namespace, name, uid}: RuntimePod) => ({
    1: {1: name, 2: uid, 3: namespace, 4: 0},
    2: name,
    3: logs,
    6: map({
      'io.kubernetes.pod.name': name,
      'io.kubernetes.pod.namespace': namespace,
      'io.kubernetes.pod.uid': uid,
    }),
    8: {1: `${machine.cgroupParent}/pod${uid}`},
  })
  return {
    cri,
    plugins: async () => pluginsOf(await cri.call('Status', {1: 1})),
    runPod: async (pod) => textOf(await cri.call('RunPodSandbox', {1: podConfig(pod)}), 1),
    runScript: async (pod, sandbox, script) => {
      const log = `${pod.name}.log`
      const container = {1: {1: 'main'}, 2: {1: BUSYBOX}, 4: [script], 11: log}
      const created = await cri.call('CreateContainer', {1: sandbox, 2: container, 3: podConfig(pod)})
      const id = textOf(created, 1)
      await cri.call('StartContainer', {1: id})
      await eventually(`the container of ${pod.name} ends`, async () => {
        const [status] = messagesOf(await cri.call('ContainerStatus', {1: id}), 1)
        return status?.get(3)?.[0] === EXITED ? true : undefined
      })
      return outputOf(readFileSync(join(logs, log), 'utf8'))
    },
    removePod: async (sandbox) => {
      await cri.call('StopPodSandbox', {1: sandbox})
      await cri.call('RemovePodSandbox', {1: sandbox})
    },
  }
}

/** The verbose part of a CRI status holds its CNI configuration as JSON. */
function pluginsOf(status: Answer): string[] {
  const entry = messagesOf(status, 2).find((info) => textOf(info, 1) === 'cniconfig')
  const {Networks: networks} = JSON.parse(entry === undefined ? '{}' : textOf(entry, 2)) as {
    Networks?: {Config: {Name: string; Plugins: {Network: {type: string}}[]}}[]
  }
  const list = networks?.find(({Config}) => Config.Name !== 'cni-loopback')
  return (list?.Config.Plugins ?? []).map(({Network}) => Network.type)
}

/** Lines of a CRI log are `TIME stdout F TEXT`. */
function outputOf(log: string): string {
  return log
    .split('\n')
    .map((line) => line.split(' ').slice(3).join(' '))
    .join('\n')
    .trim()
}
