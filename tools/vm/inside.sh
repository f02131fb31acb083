#!/bin/bash
# Runs in the virtual machine of run.sh, as root under systemd.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CI=true
for m in overlay veth bridge nf_tables nft_chain_nat nft_masq nft_ct nft_redir nf_nat loop ext4; do modprobe $m 2>/dev/null; done
pattern=$(cat /tests/pattern)
failed=0

# try NAME DIRECTORY: runs the tests with their files in a directory.
try() {
  echo "== $1"
  for package in userns container runnet embedded; do
    mkdir -p "$2" && chmod 1777 "$2" && cd "$2"
    TMPDIR=$2 "/tests/$package.test" -test.run "$pattern" -test.timeout 60m && continue
    failed=1
    echo "== failed: $1, $package"
  done
}

echo "== Linux $(uname -r), control groups $(stat -fc %T /sys/fs/cgroup), $(systemctl --version | head -n 1)"
truncate -s 6G /disk && mkfs.ext4 -q /disk && mkdir -p /ext4 && mount -o loop /disk /ext4
try "ext4: user IDs of the runs' own" /ext4/tmp
pattern='Suite/(Command|Build)|Bounded|Limit'
try "memory, whose owners this kernel cannot show otherwise: the machine's user IDs" /tmp
echo "VM-EXIT $failed"
sync
echo o >/proc/sysrq-trigger
sleep 5
