# What the demo stands on: a server on an empty directory and the upstream it imports
# from. Sourced, with the repository as working directory.
set -euo pipefail

export PATH="$PWD/bin:$PATH"
WORK=$(mktemp -d "${TMPDIR:-/tmp}/acrux-demo.XXXXXX")
DATA=$WORK/data
export ACRUX_CONFIG_DIR=$WORK/client
PORT=${PORT:-8443}
server= upstream=

# Control groups are the whole machine's, where others may work: those of this server have the
# name that container.CgroupName gives.
GROUP=acrux-$(printf %s "$DATA/engine/containers" | sha256sum | cut -c 1-12)
control_groups() { find /sys/fs/cgroup -maxdepth 3 -type d -name "$GROUP" 2>/dev/null | sort; }

# What a server might leave: mounts, network devices, control groups, and processes
# that know the directory.
traces() {
  cut -d' ' -f5 /proc/self/mountinfo | sort
  ls /sys/class/net | sort
  control_groups
}
leftovers() {
  diff <(echo "$BEFORE") <(traces) | grep '^>' || true
  pgrep -f "$WORK" || true
}
BEFORE=$(traces)

stop() {
  for process in $server $upstream; do
    kill "$process" 2>/dev/null && wait "$process" 2>/dev/null || true
  done
  server= upstream=
}

start_upstream() {
  bin/upstream >"$WORK/upstream.out" &
  upstream=$!
  wait_for "$WORK/upstream.out" GIT=
  . "$WORK/upstream.out"
}

start_server() {
  cat >"$WORK/acrux.yaml" <<YAML
# The article's mybaseregistry.azurecr.io means this server's registry of that name,
# and docker.io is a registry on this machine, as is the git server.
loginServerAliases:
  mybaseregistry.azurecr.io: /resourceGroups/myResourceGroup/providers/Microsoft.ContainerRegistry/registries/mybaseregistry
registryMirrors: {docker.io: "$UPSTREAM"}
agent: {stepNetwork: none}
egress: {loopback: true}
YAML
  acrux serve --data "$DATA" --config "$WORK/acrux.yaml" --listen "127.0.0.1:$PORT" >"$WORK/server.out" 2>"$WORK/server.log" &
  server=$!
  wait_for "$WORK/server.out" "ready"
}

wait_for() { # file text
  for _ in $(seq 200); do
    grep -qs "$2" "$1" && return
    sleep 0.05
  done
  echo "no '$2' in $1" >&2
  cat "$WORK"/*.log >&2 || true
  return 1
}
