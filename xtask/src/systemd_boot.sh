#!/bin/sh
# sh systemd_boot.sh STEP BASE FOLDER CGROUP
#
# Boots systemd above the base system BASE, with FOLDER as /packages, in namespaces and a cgroup of its own. The steps:
# enter (in a mount namespace), which goes on with boot, and remove, which deletes the cgroup after all.
set -eu
step=$1
shift

# The cgroups of version 2, wherever this machine has them. No other mount namespace sees this.
find_cgroup() {
    mkdir -p "$2/cgroups"
    mount -t cgroup2 cgroup2 "$2/cgroups"
    cgroup="$2/cgroups$(sed -n 's/^0:://p' /proc/self/cgroup)/$3"
}

case "$step" in
enter)
    find_cgroup "$@"
    mkdir "$cgroup"
    echo $$ >"$cgroup/cgroup.procs"
    exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh "$0" boot "$@"
    ;;
boot)
    . "$(dirname "$0")/debian_layer.sh"
    hostname windlass
    # /proc/sys and /sys are those of the machine.
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=755 tmpfs dev
    for node in null zero full random urandom tty; do
        touch "dev/$node"
        mount --bind "/dev/$node" "dev/$node"
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    mount -t tmpfs -o mode=1777 tmpfs dev/shm
    cp packages/systemd_test.service etc/systemd/system
    mkdir -p etc/systemd/system/multi-user.target.wants
    ln -s ../systemd_test.service etc/systemd/system/multi-user.target.wants
    ln -sf /lib/systemd/system/multi-user.target etc/systemd/system/default.target
    : >etc/machine-id
    mkdir before
    pivot_root . before
    umount -l /before
    rmdir /before
    exec env -i container=windlass /lib/systemd/systemd --system --show-status=no
    ;;
remove)
    find_cgroup "$@"
    turns=0
    # The kernel ends what was in it.
    while [ -d "$cgroup" ]; do
        [ "$turns" -lt 100 ] || exit 1
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
        turns=$((turns + 1))
    done
    ;;
esac
