#!/usr/bin/env bash
# Makes a folder that is a small system with the newest Azure CLI that Debian has, for the tests
# of test/compat that work with it: it needs a newer Python than most machines have.
#
#   tools/newest-az.sh DIR        needs root, some minutes and 2 GB; what is there stays
#   ACRUX_NEWEST_AZ=DIR go -C test/compat test -tags "seccomp netgo osusergo" -run Newest .
set -euo pipefail
dir=${1:?usage: newest-az.sh DIR}
suite=${ACRUX_NEWEST_SUITE:-sid}
tools=$(cd "$(dirname "$0")" && pwd)
if [ -x "$dir/usr/bin/az" ]; then
	exit
fi
[ "$(id -u)" -eq 0 ] || { echo "making a system in a folder needs root" >&2; exit 1; }
"$tools/install.sh" debootstrap
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
part=$dir.part
rm -rf --one-file-system "$part"
debootstrap --variant=minbase --include=ca-certificates "$suite" "$part" ${mirror:+"$mirror"} >&2
cp --dereference /etc/resolv.conf "$part/etc/resolv.conf"
grep -lis proxy /etc/apt/apt.conf.d/* | xargs -r cp --target-directory "$part/etc/apt/apt.conf.d/" || true
# In a namespace of its own, so that nothing stays mounted however this ends.
unshare --mount --propagation private bash -ec '
	mount --rbind /dev "$1/dev"
	mount -t proc proc "$1/proc"
	DEBIAN_FRONTEND=noninteractive chroot "$1" apt-get install -y -q --no-install-recommends azure-cli git >&2
	chroot "$1" apt-get clean
' - "$part"
mv "$part" "$dir"
chroot "$dir" dpkg-query -W azure-cli
