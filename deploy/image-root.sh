#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the image of the agent holds below /opt/kmesh, from a checkout that is built:
# deploy/image-root.sh CHECKOUT TARGET. deploy/Dockerfile and a test run it.
set -eu
from=$1
to=$2
mkdir -p "$to/bin" "$to/dist/chunks" "$to/bpf" "$to/node_modules/@koromix"
cp "$from/package.json" "$from/LICENSE" "$to/"
cp "$from/bin/kmesh-daemon" "$from/bin/choose-node.sh" "$to/bin/"
cp "$from/dist/kmesh-daemon.js" "$from/dist/kmesh-cni.mjs" "$to/dist/"
cp "$from"/dist/chunks/*.js "$to/dist/chunks/"
cp "$from/bpf/kmesh.bpf.o" "$to/bpf/"
cp -RL "$from/node_modules/koffi" "$to/node_modules/"
cp -RL "$from"/node_modules/@koromix/koffi-linux-* "$to/node_modules/@koromix/"
# npm installed the one of this machine.
cp -RL "$from"/node_modules/node-linux-* "$to/node_modules/"
