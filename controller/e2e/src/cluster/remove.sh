# Waits until its input ends, which is when the cluster is dropped or its test is gone; then removes what is outside of
# its namespaces: the network link, the cgroups, the directory $1. Again and again for a while, as what was killed at
# the same moment may not be gone yet.
cat
for _ in $(seq 200); do
  left=
  # It goes with its namespaces; then another cluster may have one of this name, which is not ours to remove.
  if [ -e "$1/link" ] && link=$(cat "$1/link") && [ -e "$1/link-index" ] &&
    [ "$(cat "/sys/class/net/$link/ifindex" 2>/dev/null)" = "$(cat "$1/link-index")" ]; then
    ip link del dev "$link" 2>/dev/null || left=link
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
