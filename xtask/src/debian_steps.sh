# For the scenarios of the package, in a Debian of their own. /packages has three revisions of it, from one binary. A
# scenario has a function `log`, which prints what helps to understand a failure.
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
config=/etc/windlass/windlass.toml
license=/usr/share/common-licenses/GPL-3

say() { echo "-- $*"; }
die() {
    echo "FAILED: $*" >&2
    log >&2 || true
    exit 1
}

# Until a command succeeds; 60 s are a failure.
until_true() {
    turns=0
    until "$@"; do
        turns=$((turns + 1))
        [ "$turns" -lt 600 ] || die "it never became true: $*"
        sleep 0.1
    done
}

package() { dpkg "$@" >/tmp/dpkg.log 2>&1 || die "$(cat /tmp/dpkg.log)"; }
install() { package --install "/packages/windlass_"*"-$1_amd64.deb"; }

# Downloads of $1, one after the other, until `none_failed`.
again_and_again() {
    rm -f /tmp/enough
    while [ ! -e /tmp/enough ]; do
        if windlass get -o /tmp/again "$1" 2>/tmp/why && cmp /tmp/again "$license"; then echo ok; else cat /tmp/why; fi
    done >/tmp/downloads 2>&1 &
    loop=$!
}
none_failed() {
    touch /tmp/enough
    wait "$loop"
    grep -q "^ok$" /tmp/downloads || die "nothing was downloaded meanwhile"
    ! grep -v "^ok$" /tmp/downloads || die "downloads failed"
}

# The names of all files, and what a purge left of those that were not there before.
everything() {
    find / -xdev \( -path /tmp -o -path /proc -o -path /packages -o -path /var/log/journal \) -prune -o -print | sort
}
purge() {
    package --purge windlass
    everything >/tmp/after
    # The account stays: files may belong to it.
    getent passwd windlass >/dev/null || die "the account is gone"
    left=$(comm -13 /tmp/before /tmp/after | grep -v -e '^/etc/\(passwd\|group\|shadow\|gshadow\)-$' \
        -e '^/etc/\.pwd\.lock$' -e '^/var/lib/dpkg/\(status\|diversions\|statoverride\)-old$' || true)
    [ -z "$left" ] || die "the purge left: $left"
}

everything >/tmp/before
