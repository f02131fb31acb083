#!/usr/bin/env bash
# Pastes the blocks of a page, SCRIPT, as somebody does who reads it, on a machine of its own:
# names, data directory and network are this process's, which unshare has given a mount and a
# network namespace. UPSTREAM is a program that serves what pages take from the Internet,
# ACRUX the one that ends the server.
set -eu
work=$1 script=$2 upstream=$3 acrux=$4
ip link set lo up
mount --bind "$work/data" /var/lib/acrux
for file in hosts resolv.conf; do
  mount --bind "$work/$file" "/etc/$file"
done
export HOME=$work/home SSL_CERT_FILE=$work/roots.pem GIT_SSL_CAINFO=$work/roots.pem ACRUX_TEST_UPSTREAM=$work
unset ACRUX_CONFIG_DIR ACRUX_DATA AZURE_CONFIG_DIR
"$upstream" &
upstream=$!
unset ACRUX_TEST_UPSTREAM
trap 'kill $upstream; "$acrux" stop --data /var/lib/acrux >/dev/null 2>&1 || true' EXIT
for _ in $(seq 100); do
  [ -e "$work/upstream.ready" ] && break
  sleep 0.1
done
[ -e "$work/upstream.ready" ]
cd "$(cat "$work/folder")"
bash "$script"
