# In namespaces of its own: makes the root folder of a run, above the base system $1, with the folder $2 as /packages,
# and goes there. What is changed in it is in memory.
set -eu
ip link set lo up
mkdir "$2/layer"
mount -t tmpfs tmpfs "$2/layer"
mkdir "$2/layer/above" "$2/layer/work" "$2/layer/merged"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/layer/above,workdir=$2/layer/work" "$2/layer/merged"
cd "$2/layer/merged"
mkdir packages
mount --bind "$2" packages
mount -t proc proc proc
mount -t tmpfs -o mode=1777 tmpfs tmp
