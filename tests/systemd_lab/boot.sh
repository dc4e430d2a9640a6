#!/bin/sh
# Boots a real systemd, with its journal, in namespaces of its own: the machine's systemd, if it has
# one, knows nothing of it. What is changed in there is gone with it.
#
#   boot.sh house DIRECTORY [SOURCE:TARGET]...    makes the cgroup, and waits for the end
#   boot.sh furnish DIRECTORY [SOURCE:TARGET]...  the second half, in the new namespaces
#
# SOURCE is a file or directory of the machine that is to stand at TARGET, read-only.
set -eu
step=$1 lab=$2
shift 2

house() {
    # Within the caller's mount namespace, which is private: nothing here is seen outside.
    mount -t tmpfs none "$lab"
    mkdir "$lab/groups" "$lab/root"
    mount -t cgroup2 none "$lab/groups"
    home=$(sed -n 's/^0:://p' /proc/self/cgroup)
    group=$lab/groups/wasessiond-lab-$$
    mkdir "$group"
    echo $$ >"$group/cgroup.procs"
    # However this process ends, everything in there ends with it.
    setpriv --pdeathsig KILL \
        unshare --pid --fork --kill-child --mount --propagation private --uts --ipc --net --cgroup \
        sh "$0" furnish "$lab" "$@" &
    # A group with groups below it is to hold no process of its own.
    echo $$ >"$lab/groups$home/cgroup.procs"
    # shellcheck disable=SC2064
    trap "kill -KILL $! 2>/dev/null" TERM
    wait $! || true
    # The kernel takes its time to let go of the last process of a group.
    for _ in $(seq 200); do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
        [ -d "$group" ] || exit 0
        sleep 0.02
    done
    echo "the cgroup $group is left" >&2
    exit 1
}

# A file of the machine that programs in the lab need.
keep() {
    for name; do
        [ ! -e "/etc/$name" ] || cp -a "/etc/$name" "$root/etc/$name"
    done
}

unit() { cat >"$root/etc/systemd/system/$1"; }

furnish() {
    umask 022
    root=$lab/root
    mount -t tmpfs -o mode=755 none "$root"
    cd "$root"
    mkdir dev etc home opt over over/changes over/work proc root run srv sys tmp usr var
    chmod 700 root
    for name in bin sbin lib lib32 lib64 libx32; do
        [ ! -L "/$name" ] || cp -a "/$name" "$name"
    done
    mount -t overlay -o "lowerdir=/usr,upperdir=$root/over/changes,workdir=$root/over/work" none usr

    # Only what is asked for below is started: what distributions pull into a boot is for machines.
    units=usr/lib/systemd/system
    rm -rf "$units"/*.wants "$units"/*.requires
    mkdir -p etc/systemd/system etc/systemd/journald.conf.d var/lib var/log var/cache var/tmp
    chmod 1777 tmp var/tmp
    ln -s ../run var/run
    mkdir "$units/sysinit.target.wants" "$units/sockets.target.wants"
    ln -s ../systemd-journald.service "$units/sysinit.target.wants/"
    for socket in systemd-journald.socket systemd-journald-dev-log.socket; do
        ln -s "../$socket" "$units/sockets.target.wants/"
    done
    printf '[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\n' >etc/systemd/journald.conf.d/lab.conf
    # A user's manager, without the login that comes before it on a machine.
    unit user-runtime-dir@.service <<-'END'
	[Service]
	Type=oneshot
	RemainAfterExit=yes
	ExecStart=/usr/bin/mkdir -p -m 700 /run/user/%i
	ExecStart=/usr/bin/chown %i:%i /run/user/%i
	END
    mkdir etc/systemd/system/user@.service.d
    printf '[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\n' >etc/systemd/system/user@.service.d/lab.conf
    keep passwd group nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d alternatives localtime login.defs
    touch etc/fstab etc/resolv.conf
    echo lab >etc/hostname
    printf '127.0.0.1 localhost\n::1 localhost\n' >etc/hosts
    tr -d - </proc/sys/kernel/random/uuid >etc/machine-id

    # Of the kernel it sees only itself, and may change nothing that is the machine's.
    mount -t proc -o nosuid,nodev,noexec none proc
    for knob in proc/sys proc/sysrq-trigger; do
        [ -e "$knob" ] || continue
        mount --bind "$knob" "$knob"
        mount -o remount,bind,ro,nosuid,nodev,noexec "$knob"
    done
    mount -t sysfs -o ro,nosuid,nodev,noexec none sys
    mount -t cgroup2 -o nosuid,nodev,noexec none sys/fs/cgroup
    mount -t tmpfs -o mode=755,nosuid none dev
    for device in null zero full random urandom tty; do
        touch "dev/$device"
        mount --bind "/dev/$device" "dev/$device"
    done
    ln -s /proc/self/fd dev/fd
    mkdir dev/shm dev/pts
    mount -t tmpfs -o mode=1777,nosuid,nodev none dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,nosuid,noexec none dev/pts
    ln -s pts/ptmx dev/ptmx
    mount -t tmpfs -o mode=755,nosuid,nodev none run
    # A build for rehearsals does not start without a simulator. Nothing listens there.
    for place in run/wasessiond-config etc/xdg/wasessiond; do
        mkdir -p "$place/config.toml.d"
        printf '[whatsapp]\nendpoint = "ws://127.0.0.1:9/ws/chat"\nversion = "2.3000.1"\n' \
            >"$place/config.toml.d/00-rehearsal.toml"
    done

    for pair; do
        source=${pair%%:*} target=$root${pair#*:}
        mkdir -p "${target%/*}"
        if [ -d "$source" ]; then mkdir -p "$target"; else touch "$target"; fi
        mount --bind "$source" "$target"
        mount -o remount,bind,ro "$target"
    done

    mkdir before
    pivot_root . before
    umount -l before
    rmdir before
    hostname lab
    exec env -i container=lab PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        setpriv --bounding-set=-sys_boot,-sys_module,-sys_rawio,-sys_time,-syslog,-mac_admin,-mac_override \
        /usr/lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=no
}

"$step" "$@"
