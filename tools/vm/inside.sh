#!/bin/bash
# Runs in the virtual machine of run.sh, as root under systemd.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CI=true
for m in overlay veth bridge nf_tables nft_chain_nat nft_masq nft_ct nft_redir nf_nat loop ext4; do modprobe $m 2>/dev/null; done
failed=0

# begin NAME: what follows is another way to run the tests.
begin() {
  current=$1
  echo "== $current"
}

# try PACKAGE PATTERN [COMMAND...]: runs tests in the current directory, by a command if one is given.
try() {
  echo "-- $1"
  "${@:3}" "/tests/$1.test" -test.run "$2" -test.timeout 60m && return
  failed=1
  echo "-- failed: $current, $1"
}

echo "== Linux $(uname -r), control groups $(stat -fc %T /sys/fs/cgroup), $(systemctl --version | head -n 1)"
truncate -s 6G /disk && mkfs.ext4 -q /disk && mkdir -p /ext4 && mount -o loop /disk /ext4
mkdir -m 1777 /ext4/tmp

begin "ext4: user IDs of the runs' own"
cd /ext4/tmp && export TMPDIR=$PWD
for package in userns container runnet embedded; do try $package "$(cat /tests/pattern)"; done

begin "memory, whose owners this kernel cannot show otherwise: the machine's user IDs"
cd /tmp && export TMPDIR=$PWD
try embedded 'Suite/(CommandExitCodes|CommandNamedVolumes|CommandWorkspaceIsShared|BuildThenUse|BuildSecrets|CacheMountsAreKept)|Bounded'

begin "an ordinary user in a session of systemd"
useradd --create-home --home-dir /ext4/ada ada && chmod +x /ext4/ada && mkdir -m 777 /ext4/ada/tmp && cd /ext4/ada
try embedded '^(TestSuite|TestKilledProcess)$' systemd-run --wait --pipe --quiet --uid=ada --working-directory=/ext4/ada \
  --property=PAMName=login --property=Delegate=yes --setenv=ACRUX_TEST_AS_USER=1 --setenv=CI=true \
  --setenv=HOME=/ext4/ada --setenv=TMPDIR=/ext4/ada/tmp --setenv=PATH="$PATH"

echo "VM-EXIT $failed"
sync
echo o >/proc/sysrq-trigger
sleep 5
