#!/usr/bin/env bash
# Runs the tests of what executes runs on a Debian 12 in a virtual machine, whose kernel has
# control groups of version 2 alone: as root on ext4, as root on a file system that cannot
# show other owners, and as an ordinary user under systemd.
#
#   run.sh [PATTERN]    tests to run as root on ext4; default the executors' suite and the walls
#
# It needs root, and takes kernel and system from Debian's mirrors. Processors are emulated,
# some ten times slower than real ones: it is for what must be right, not for what must be
# fast. The machine has no network but its loopback device.
set -euo pipefail
cd "$(dirname "$0")/../.."
pattern=${1:-'Suite|Nobody|Users|Bounded|Killed|Uplink|Advertise|Limit|Check'}
dir=${ACRUX_VM:-.cache/vm}
packages=ca-certificates,busybox-static,kmod,iproute2,procps,git,e2fsprogs,uidmap,util-linux,systemd,systemd-sysv,dbus
bash tools/install.sh debootstrap qemu-system-x86 cpio gcc pkg-config libseccomp-dev
mkdir -p "$dir/deb"
dir=$(cd "$dir" && pwd)

# The system, once.
if [ ! -e "$dir/made" ]; then
  (cd "$dir/deb"
    apt-get download -q linux-image-cloud-amd64
    apt-get download -q "$(dpkg -I linux-image-cloud-amd64*.deb | sed -n 's/.*Depends: \(linux-image-[^ ,]*\).*/\1/p')"
    for deb in linux-image-[0-9]*.deb; do dpkg -x "$deb" ../kernel; done) >"$dir/kernel.log" 2>&1
  mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
  debootstrap --variant=minbase --include="$packages" bookworm "$dir/root" "${mirror:-http://deb.debian.org/debian}" >"$dir/debootstrap.log"
  rm -rf "$dir"/root/var/cache/apt/archives/* "$dir"/root/var/lib/apt/lists/* "$dir"/root/usr/share/{doc,man,locale}
  cp -r "$dir/kernel/lib/modules" "$dir/root/lib/"
  chroot "$dir/root" depmod -a "$(ls "$dir/root/lib/modules")"
  touch "$dir/made"
fi

# The tests, each time.
mkdir -p "$dir/root/tests"
for package in sandbox/container sandbox/runnet sandbox/userns engine/embedded; do
  go test -c -tags "seccomp netgo osusergo" -ldflags '-s -w -extldflags -static' -o "$dir/root/tests/${package#*/}.test" "./internal/$package"
done
install -m 755 tools/vm/init tools/vm/inside.sh "$dir/root/tests/"
printf '%s' "$pattern" >"$dir/root/tests/pattern"
install -m 755 tools/vm/init "$dir/root/init"
units=$dir/root/etc/systemd/system
install -m 644 tools/vm/tests.service "$units/tests.service"
mkdir -p "$units/multi-user.target.wants"
ln -sf ../tests.service "$units/multi-user.target.wants/tests.service"
(cd "$dir/root" && find . -xdev | cpio -o -H newc 2>/dev/null) >"$dir/root.cpio"

timeout "${ACRUX_VM_SECONDS:-5400}" qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 8000 -nographic -no-reboot -nic none \
  -kernel "$dir"/kernel/boot/vmlinuz-* -initrd "$dir/root.cpio" \
  -append "console=ttyS0 quiet panic=-1 rdinit=/init systemd.show_status=0" </dev/null 2>&1 |
  stdbuf -oL tr -d '\r' | tee "$dir/console.log" | sed -un '/^== /,$p' | grep --line-buffered -av '^VM-EXIT\|sysrq: \|reboot: ' || true
status=$(sed -n 's/.*VM-EXIT \([0-9]*\).*/\1/p' "$dir/console.log" | tail -n 1)
exit "${status:-125}"
