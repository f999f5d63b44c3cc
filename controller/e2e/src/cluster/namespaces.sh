# PID 1 of a cluster, in namespaces of its own: makes its mounts private, then becomes `pause`.
# $1: its directory; $2: the program `pause`; then the cgroup hierarchies, as /proc/self/cgroup names them.
set -eu
directory=$1 pause=$2
shift 2
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

mount -t sysfs sysfs /sys
mount -t tmpfs cgroup /sys/fs/cgroup
for hierarchy; do
  at=/sys/fs/cgroup/${hierarchy#name=}
  mkdir "$at"
  case $hierarchy in
    name=*) mount -t cgroup -o "none,$hierarchy" cgroup "$at" ;;
    *) mount -t cgroup -o "$hierarchy" cgroup "$at" ;;
  esac
done

mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/lock
# What the machine has there stays in sight, what the cluster writes there does not reach it.
for shared in lib log; do
  mkdir -p "$directory/var/$shared" "$directory/var/$shared.work"
  mount -t overlay -o "lowerdir=/var/$shared,upperdir=$directory/var/$shared,workdir=$directory/var/$shared.work" \
    overlay "/var/$shared"
done
# The kubelet sets these for the whole machine, unless they have the values that it wants already.
for value in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
  file=/run/${value##*/}
  echo "${value#*=}" >"${file%%=*}"
  mount --bind "${file%%=*}" "/proc/sys/${value%%=*}"
done
mount --make-rshared /

hostname node1
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
: >"$directory/private"
exec "$pause"
