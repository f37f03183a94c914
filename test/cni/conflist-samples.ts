// SPDX-License-Identifier: Apache-2.0
/** Network lists in the shapes that installers really write: indents, order, number forms and ends of files differ. */

const CALICO = `{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "calico",
      "log_level": "info",
      "log_file_path": "/var/log/calico/cni/cni.log",
      "datastore_type": "kubernetes",
      "nodename": "worker-1",
      "mtu": 0,
      "ipam": {"type": "calico-ipam", "assign_ipv4": "true", "assign_ipv6": "true"},
      "container_settings": {
          "allow_ip_forwarding": false
      },
      "policy": {
          "type": "k8s"
      },
      "kubernetes": {
          "kubeconfig": "/etc/cni/net.d/calico-kubeconfig"
      }
    },
    {
      "type": "portmap",
      "snat": true,
      "capabilities": {"portMappings": true}
    },
    {
      "type": "bandwidth",
      "capabilities": {"bandwidth": true}
    }
  ]
}`

const FLANNEL = `{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "flannel",
      "delegate": {
        "hairpinMode": true,
        "isDefaultGateway": true
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      }
    }
  ]
}
`

const CILIUM = `
{
  "cniVersion": "0.3.1",
  "name": "cilium",
  "plugins": [
    {
       "type": "cilium-cni",
       "enable-debug": false,
       "log-file": "/var/run/cilium/cilium-cni.log"
    }
  ]
}
`

const WEAVE = `{
    "cniVersion": "0.3.0",
    "name": "weave",
    "plugins": [
        {
            "name": "weave",
            "type": "weave-net",
            "hairpinMode": true
        },
        {
            "type": "portmap",
            "capabilities": {"portMappings": true},
            "snat": true
        }
    ]
}
`

const KUBE_ROUTER = `{"cniVersion":"0.3.0","name":"mynet","plugins":[{"bridge":"kube-bridge","ipam":{"subnet":"10.1.0.0/24","type":"host-local"},"isDefaultGateway":true,"mtu":1.48e3,"name":"kubernetes","type":"bridge"},{"capabilities":{"portMappings":true,"snat":true},"type":"portmap"}]}`

/** Comes from a template whose variables are filled in: blanks at line ends. */
const AWS = `{
  "cniVersion": "0.4.0",
  "name": "aws-cni",
  "disableCheck": true,
  "plugins": [
    {
      "name": "aws-cni",
      "type": "aws-cni",
      "vethPrefix": "eni",
      "mtu": "9001",
      "podSGEnforcingMode": "strict",
      "pluginLogFile": "/var/log/aws-routed-eni/plugin.log",
      "pluginLogLevel": "DEBUG",
      "capabilities": {"io.kubernetes.cri.pod-annotations": true}
    },
    {
      "name": "egress-cni",
      "type": "egress-cni",
      "mtu": "9001",
      "enabled": "false",
      "randomizeSNAT": "prng",
      "nodeIP": "",
      "ipam": {
         "type": "host-local",
         "ranges": [[{"subnet": "fd00::ac:00/118"}]],
         "routes": [{"dst": "::/0"}],
         "dataDir": "/run/cni/v4pd/egress-v6-ipam"
      }, \t
      "pluginLogLevel": "DEBUG"
    },
    {
      "type": "portmap",
      "capabilities": {"portMappings": true},
      "snat": true
    }
  ]
}\t
`

/** Written by hand, with tabs, as documentation of containerd shows it. */
const CONTAINERD = `{
\t"cniVersion": "1.0.0",
\t"name": "containerd-net",
\t"plugins": [
\t\t{
\t\t\t"type": "bridge",
\t\t\t"bridge": "cni0",
\t\t\t"isGateway": true,
\t\t\t"ipMasq": true,
\t\t\t"promiscMode": true,
\t\t\t"ipam": {
\t\t\t\t"type": "host-local",
\t\t\t\t"ranges": [
\t\t\t\t\t[{ "subnet": "10.88.0.0/16" }],
\t\t\t\t\t[{ "subnet": "2001:4860:4860::/64" }]
\t\t\t\t],
\t\t\t\t"routes": [ { "dst": "0.0.0.0/0" }, { "dst": "::/0" } ]
\t\t\t}
\t\t},
\t\t{ "type": "portmap", "capabilities": { "portMappings": true } },
\t\t{ "type": "firewall" }, { "type": "tuning", "sysctl": {} }
\t]
}
`

const OVN = `{"cniVersion":"1.1.0","name":"ovn-kubernetes","plugins":[{"type":"ovn-k8s-cni-overlay","ipam":{},"dns":{},"logFile":"/var/log/ovn-kubernetes/ovn-k8s-cni-overlay.log","logLevel":"5","logfile-maxsize":100,"logfile-maxbackups":5,"logfile-maxage":0}]}
`

export const CONFLISTS: Readonly<Record<string, string>> = {
  '10-calico.conflist': CALICO,
  '10-flannel.conflist': FLANNEL,
  '05-cilium.conflist': CILIUM,
  '10-weave.conflist': WEAVE,
  '10-kuberouter.conflist': KUBE_ROUTER,
  '10-aws.conflist': AWS,
  '10-containerd-net.conflist': CONTAINERD,
  '10-ovn-kubernetes.conflist': OVN,
  '00-windows-editor.conflist': FLANNEL.replaceAll('\n', '\r\n'),
}
