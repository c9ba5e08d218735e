#!/bin/sh
# Installs, upgrades, removes and purges the package, in a Debian of its own with a network of its own. Ends with the
# line `done`.
. /packages/debian_steps.sh
log=/tmp/server.log
log() { tail -n 20 "$log"; }

. /packages/supervisors.sh

# The one that serves: its binary is the one that has the name now.
serving() {
    for pid in $(supervisors); do
        case "$(readlink "/proc/$pid/exe")" in
        *deleted*) ;;
        *) echo "$pid" ;;
        esac
    done
}
is_another() { [ -n "$(serving)" ] && [ "$(serving)" != "$1" ] && tail -n +"$2" "$log" | grep -q "^listening.* http "; }
listens() { [ "$(grep -c '^listening' "$log")" -ge "$1" ]; }
has_begun() { find /tmp/slow -name '.windlass-*.part' -size +0 | grep -q .; }
ended() { [ -z "$(supervisors)" ]; }

say "install"
install 1
[ -z "$(supervisors)" ] || die "it is started before it is configured"
getent passwd windlass >/dev/null || die "no account"
for file in /usr/bin/windlass /usr/lib/systemd/system/windlass.service /usr/lib/systemd/system/windlass.socket \
    /usr/lib/sysusers.d/windlass.conf /usr/share/man/man1/windlass.1.gz /usr/share/man/man1/windlass-serve.1.gz \
    /usr/share/bash-completion/completions/windlass /usr/share/zsh/vendor-completions/_windlass \
    /usr/share/fish/vendor_completions.d/windlass.fish; do
    [ -s "$file" ] || die "no $file"
done
grep -q "^ExecStart=/usr/bin/windlass serve --config $config\$" /usr/lib/systemd/system/windlass.service ||
    die "the unit starts something else"
dpkg-query --show --showformat '${Conffiles}' windlass | grep -q "$config" || die "$config is no conffile"
windlass serve --check --config "$config" >/tmp/check || die "the example is not in order"

say "serve"
# The administrator changes the configuration: no client is cut because it is slow, and none is so quick that its
# download is over before it is looked at.
sed -i '/^service = "http"/a idle-timeout = 3000\nmin-rate = 0\nrate = 16777216' "$config"
cp "$config" /tmp/config
mkdir /tmp/slow
head -c 67108864 /dev/urandom >/usr/share/slow
setpriv --reuid=windlass --regid=windlass --clear-groups windlass serve --config "$config" >"$log" 2>&1 &
until_true listens "$(wc -l </tmp/check)"
first=$(serving)
for url in files://127.0.0.1:2334/common-licenses/GPL-3 http://127.0.0.1:8080/common-licenses/GPL-3 \
    tftp://127.0.0.1:6969/common-licenses/GPL-3; do
    windlass get -o /tmp/license "$url" || die "$url"
    cmp /tmp/license "$license" || die "$url is another file"
done

say "two upgrades, with a download in progress and others all the time"
windlass get -o /tmp/slow/file http://127.0.0.1:8080/slow &
slow=$!
until_true has_begun
kill -STOP "$slow"
again_and_again http://127.0.0.1:8080/common-licenses/GPL-3
current=$first
for revision in 2 3; do
    lines=$(($(wc -l <"$log") + 1))
    install "$revision"
    until_true is_another "$current" "$lines"
    current=$(serving)
    cmp "$config" /tmp/config || die "the configuration was changed"
done
none_failed
kill -0 "$first" || die "the first server has ended, and its client has not"
kill -CONT "$slow"
wait "$slow" || die "the download did not outlive the upgrades"
cmp /tmp/slow/file /usr/share/slow || die "what was downloaded is another file"
say "$(grep -c "^ok$" /tmp/downloads) downloads, and one of 64 MiB across three servers"

say "remove"
dpkg --listfiles windlass >/tmp/files
package --remove windlass
until_true ended
while read -r file; do
    [ -d "$file" ] || [ ! -e "$file" ] || [ "$file" = "$config" ] || die "$file is left"
done </tmp/files
[ -e "$config" ] || die "the configuration is gone before a purge"

say "purge"
rm /usr/share/slow
purge

say "install again"
install 3
windlass --version
package --purge windlass
echo done
