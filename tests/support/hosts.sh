#!/usr/bin/env bash
# hosts.sh up DIR CONCMON SSHD NAME... | in DIR COMMAND... | on NAME COMMAND... | cut NAME | mend NAME | down DIR NAME...
# "Hosts" on this machine: for each NAME a network, PID, mount and UTS namespace with sshd on 10.77.0.1, .2, ...; the viewer's network
# namespace is the bridge between them, where `in` runs a command. DIR gets keys, an ssh that knows the hosts, and a concmon for them.
# A host whose name ends in "garbage" prints text in place of a stream; `on` runs a command there, and without SSHD ("") nothing else can.
# Needs root, iproute2, OpenSSH (client, server, ssh-keygen), util-linux.
set -euo pipefail
what=$1; shift
bridge() { echo "b$(basename "$1" | cksum | cut -d' ' -f1)"; }

host() { # DIR CONCMON SSHD NAME NUMBER
  local bin=$1/bin
  case $4 in *garbage) bin=$1/garbage ;; esac
  printf '%s\n' "Port 22" "HostKey $1/key" "AuthorizedKeysFile $1/key.pub" "StrictModes no" "PidFile none" "UsePAM no" \
    "PermitRootLogin prohibit-password" "SetEnv PATH=$bin:/usr/bin:/bin" > "$1/sshd.$4"
  printf '%s\n' "Host $4" "  HostName 10.77.0.$5" >> "$1/config"
  [ -n "$3" ] || return 0
  # Not `ip netns exec`, which mounts another /sys: control groups would be missing. The host has a /run and a list of users of its own: sshd
  # wants a directory and a user for privilege separation.
  nsenter --net="/run/netns/$4" unshare --uts --pid --mount --fork --kill-child --mount-proc sh -c '
    hostname "$1"; mount -t tmpfs none /run; mkdir /run/sshd; mount --bind "$2/passwd" /etc/passwd
    exec "$3" -D -f "$2/sshd.$1"' host "$4" "$1" "$3" > "$1/log.$4" 2>&1 &
  echo $! >> "$1/pids"
}

case $what in
  up) dir=$1 concmon=$2 sshd=$3; shift 3; b=$(bridge "$dir"); mkdir -p "$dir/bin" "$dir/garbage"
    [ -z "$sshd" ] || ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
    { grep -v '^sshd:' /etc/passwd; echo 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin'; } > "$dir/passwd"
    printf '%s\n' "IdentityFile $dir/key" "IdentitiesOnly yes" "User root" "StrictHostKeyChecking no" "UserKnownHostsFile /dev/null" \
      "LogLevel ERROR" > "$dir/config"
    ln -s "$concmon" "$dir/bin/concmon"
    printf '#!/bin/sh\nexec %s -F %s "$@"\n' "$(command -v ssh || true)" "$dir/config" > "$dir/bin/ssh"
    printf '#!/bin/sh\necho Welcome to this machine; exec sleep 60\n' > "$dir/garbage/concmon"
    chmod +x "$dir/bin/ssh" "$dir/garbage/concmon"
    ip netns add "$b"; ip -n "$b" link add br0 type bridge; ip -n "$b" addr add 10.77.0.254/24 dev br0; ip -n "$b" link set br0 up
    ip -n "$b" link set lo up; i=1
    for h; do
      ip netns add "$h"; ip -n "$h" link set lo up; ip -n "$h" link add eth0 type veth peer name "v$i" netns "$b"
      ip -n "$b" link set "v$i" master br0 up; ip -n "$h" addr add "10.77.0.$i/24" dev eth0; ip -n "$h" link set eth0 up
      host "$dir" "$concmon" "$sshd" "$h" "$i"; i=$((i+1))
    done ;;
  on) exec nsenter --net="/run/netns/$1" unshare --uts sh -c 'hostname "$0"; exec "$@"' "$@" ;;
  in) dir=$1; shift; PATH=$dir/bin:$PATH exec ip netns exec "$(bridge "$dir")" "$@" ;;
  cut) ip -n "$1" link set eth0 down ;;
  mend) ip -n "$1" link set eth0 up ;;
  down) dir=$1; shift
    if [ -e "$dir/pids" ]; then xargs -r kill -KILL 2>/dev/null < "$dir/pids" || true; fi
    for h in "$@" "$(bridge "$dir")"; do ip netns del "$h" 2>/dev/null || true; done ;;
  *) sed -n 2p "$0" >&2; exit 2 ;;
esac
