# Waits until its input ends, which is when the cluster is dropped or its test is gone; then removes what is outside of
# its namespaces: the network link, the cgroups, the directory $1. Again and again for a while, as what was killed at
# the same moment may not be gone yet.
cat
for _ in $(seq 200); do
  left=
  if [ -e "$1/link" ] && ip link show dev "$(cat "$1/link")" >/dev/null 2>&1; then
    ip link del dev "$(cat "$1/link")" 2>/dev/null || left=link
  fi
  if [ -e "$1/cgroups" ]; then
    while read -r cgroup; do
      [ -d "$cgroup" ] || continue
      find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
      [ ! -d "$cgroup" ] || left=cgroup
    done <"$1/cgroups"
  fi
  if [ -z "$left" ]; then
    rm -rf "$1" 2>/dev/null && exit
  fi
  sleep 0.1
done
