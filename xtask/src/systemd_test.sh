#!/bin/sh
# What an operator does with the package under systemd: it is started, reloaded, upgraded, killed, stopped, removed and
# purged. Runs as a service of a Debian that was booted for it. Ends with the line `done`.
# What the boot makes is there before the files are listed.
systemctl is-system-running --wait >/tmp/booted || true
. /packages/debian_steps.sh
dropin=/etc/systemd/system/windlass.service.d
log() {
    systemctl status --no-pager --lines=0 windlass.service windlass.socket || true
    journalctl --no-pager -u windlass.service -u windlass.socket | grep -v "GET .common" | tail -n 40
}
cd /tmp

show() { systemctl show --property "$1" --value windlass.service; }
main() { show MainPID; }
active() { [ "$(show ActiveState)" = active ]; }
inactive() { [ "$(show ActiveState)" = inactive ]; }
restarts() { [ "$(show NRestarts)" = "$1" ]; }
logged() { journalctl --quiet -u windlass.service -o cat --grep "$1" | grep -q .; }
fetched() {
    windlass get -o /tmp/got "$1" || die "$1 was not served"
    cmp /tmp/got "$license" || die "$1 is another file"
}
begun() { find "/tmp/$1" -name '.windlass-*.part' -size +0 | grep -q .; }
# Downloads that are in progress: by http one that stands still, by tftp one that lasts for seconds.
begin() {
    rm -rf /tmp/http /tmp/tftp
    mkdir /tmp/http /tmp/tftp
    windlass get -o /tmp/http/file http://127.0.0.1/slow &
    http=$!
    until_true begun http
    kill -STOP "$http"
    windlass get -o /tmp/tftp/file tftp://127.0.0.1:69/slow &
    tftp=$!
    until_true begun tftp
}
# They were in progress all the time, and are whole.
whole() {
    kill -0 "$tftp" 2>/dev/null || die "$1: the download was over too soon to tell anything"
    kill -CONT "$http"
    for protocol in http tftp; do
        eval "pid=\$$protocol"
        wait "$pid" || die "$1: the download by $protocol failed"
        cmp "/tmp/$protocol/file" /usr/share/slow || die "$1: $protocol gave another file"
    done
}

say "install"
install 1
inactive || die "it is started before it is configured"
! systemctl --quiet is-enabled windlass.service windlass.socket || die "it is enabled before it is configured"

say "start: the example, ready when systemctl returns"
systemctl enable --now windlass.socket windlass.service 2>/tmp/why || die "$(cat /tmp/why)"
windlass time tcp:127.0.0.1:2333 >/dev/null || die "time, at the socket of the example"
for url in files://127.0.0.1:2334 http://127.0.0.1:8080 tftp://127.0.0.1:6969; do
    fetched "$url/common-licenses/GPL-3"
done
[ "$(stat -c %U "/proc/$(main)")" = windlass ] || die "it has another account"
[ "$(show StatusText)" = "serving 9 listeners" ] || die "status: $(show StatusText)"

say "what the unit takes from it"
of_main() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(main)/status"; }
[ "$(of_main CapBnd)$(of_main CapEff)" = 00000000000000000000000000000000 ] || die "capabilities: $(of_main CapEff)"
[ "$(of_main NoNewPrivs) $(of_main Seccomp)" = "1 2" ] || die "no filter of system calls"
logged "workers are confined: no new privileges, Landlock .*, seccomp" || die "workers are not confined"
systemd-analyze security --no-pager --threshold=30 windlass.service >/tmp/security || die "$(tail -n 1 /tmp/security)"

say "stop"
systemctl stop windlass.socket windlass.service
inactive || die "stop: $(show ActiveState)"
! windlass get -o /tmp/got "http://127.0.0.1:8080/common-licenses/GPL-3" 2>/dev/null || die "it serves after a stop"

say "sockets of systemd, below port 1024"
head -c 6291456 /dev/urandom >/usr/share/slow
cat >"$config" <<'END'
grace = 28
monitor = "tcp:127.0.0.1:9100"
[[listener]]
service = "http"
model = "epoll"
listen = "tcp:127.0.0.1:80"
root = "/usr/share"
idle-timeout = 3000
min-rate = 0
rate = 262144
access-log = "journal"
[[listener]]
service = "tftp"
listen = "udp:127.0.0.1:69"
root = "/usr/share"
rate = 262144
access-log = "journal"
access-log-format = "json"
[[listener]]
service = "upper"
model = "prefork"
listen = "tcp:127.0.0.1:9527"
control = "/run/windlass/upper"
END
mkdir -p /etc/systemd/system/windlass.socket.d "$dropin"
cat >/etc/systemd/system/windlass.socket.d/test.conf <<'END'
[Socket]
ListenStream=
ListenStream=127.0.0.1:80
ListenDatagram=127.0.0.1:69
FileDescriptorName=windlass.socket
END
systemctl daemon-reload
systemctl start windlass.socket
inactive || die "nothing has asked yet"
# The first client starts the service.
fetched tftp://127.0.0.1:69/common-licenses/GPL-3
until_true active
fetched http://127.0.0.1/common-licenses/GPL-3
until_true windlass status /run/windlass/upper >/tmp/status
first=$(main)

say "the access log is in the journal"
journalctl --sync
lines() { journalctl --quiet -u windlass.service -o cat SYSLOG_IDENTIFIER=windlass PRIORITY=6 _UID="$(id -u windlass)"; }
lines | grep -q '^127\.0\.0\.1 - - \[.*\] "GET /common-licenses/GPL-3 HTTP/1.1" 200 [0-9]* "-" "-" http tcp:127\.0\.0\.1:80 [0-9.]*$' ||
    die "no line of http"
lines | grep -q '^{"time":"[^"]*","listener":"tftp udp:127\.0\.0\.1:69","peer":"127\.0\.0\.1:[0-9]*","request":"get common-licenses/GPL-3","outcome":"ok","bytes":[0-9]*,"seconds":[0-9.]*}$' ||
    die "no line of tftp"

say "reload in the middle of a download"
begin
sed -i 's/^rate = .*/rate = 262145/' "$config"
again_and_again http://127.0.0.1/common-licenses/GPL-3
systemctl reload windlass || die "reload"
until_true logged "supervisor: reloaded"
active || die "reload: $(show ActiveState)"
none_failed
whole reload
[ "$(main)" = "$first" ] || die "a reload is no restart"

say "reload of a configuration with a mistake"
cp "$config" good
echo 'service = "nothing"' >>"$config"
systemctl reload windlass 2>/dev/null || true
mistake() { journalctl --quiet -u windlass.service -o cat --priority err --grep "windlass.toml:[0-9]*:[0-9]*: " | grep -q .; }
until_true mistake
cp good "$config"
active || die "a mistake ended the service"
fetched http://127.0.0.1/common-licenses/GPL-3

say "restart: clients wait, and none is refused"
again_and_again http://127.0.0.1/common-licenses/GPL-3
for nth in 1 2 3; do
    before=$(main)
    systemctl restart windlass || die "restart $nth"
    [ "$(main)" != "$before" ] || die "restart $nth: the same process"
done
none_failed

say "upgrade in the middle of a download"
begin
again_and_again http://127.0.0.1/common-licenses/GPL-3
before=$(main)
install 2
is_another() { [ "$(main)" != "$before" ] && active; }
until_true is_another
second=$(main)
none_failed
whole upgrade
ended() { [ ! -e "/proc/$before" ]; }
until_true ended
[ "$(readlink "/proc/$second/exe")" = /usr/bin/windlass ] || die "it runs $(readlink "/proc/$second/exe")"
restarts 0 || die "the upgrade was a restart"

say "kill -9 of the supervisor"
kill -9 "$second"
until_true restarts 1
until_true active
fetched http://127.0.0.1/common-licenses/GPL-3
fetched tftp://127.0.0.1:69/common-licenses/GPL-3

say "kill -9 of a supervisor while the one before it drains"
begin
before=$(main)
install 3
until_true is_another
kill -9 "$(main)"
until_true restarts 2
until_true active
fetched http://127.0.0.1/common-licenses/GPL-3
kill -CONT "$http"
# What was in progress is lost.
! wait "$http" || die "systemd left the processes of the old binary"
! wait "$tftp" || die "systemd left the processes of the old binary"

say "stop, and a client that starts it again"
systemctl stop windlass 2>/dev/null
inactive || die "stop: $(show ActiveState)"
fetched http://127.0.0.1/common-licenses/GPL-3
until_true active

say "the watchdog, also after an upgrade"
cat >"$dropin/test.conf" <<'END'
[Service]
WatchdogSec=5
END
systemctl daemon-reload
systemctl restart windlass
before=$(main)
install 2
until_true is_another
was=none
for nth in 1 2 3 4; do
    heard_again() { now=$(show WatchdogTimestampMonotonic) && [ "$now" != 0 ] && [ "$now" != "$was" ]; }
    until_true heard_again
    was=$now
done
restarts 0 || die "the watchdog killed a server that lives"
kill -STOP "$(main)"
until_true restarts 1
until_true active
fetched http://127.0.0.1/common-licenses/GPL-3

say "ports below 1024 without sockets of systemd; transfers at a single port through a reload and an upgrade"
systemctl stop windlass.socket windlass.service
cat >"$dropin/test.conf" <<'END'
[Service]
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
AmbientCapabilities=CAP_NET_BIND_SERVICE
PrivateUsers=no
END
sed -i 's/^service = "tftp"/&\nsingle-port = true/' "$config"
systemctl daemon-reload
systemctl start windlass || die "start with the capability"
since=$(date +%s)
begin
sed -i 's/^rate = .*/rate = 262146/' "$config"
systemctl reload windlass || die "reload"
reloaded() { journalctl --quiet -u windlass.service -o cat --since "@$since" --grep "supervisor: reloaded" | grep -q .; }
until_true reloaded
before=$(main)
install 3
until_true is_another
whole "single port"

say "stop after an upgrade: the clients of the old binary have their grace"
mkdir stopped
windlass get -o stopped/file http://127.0.0.1/slow &
http=$!
until_true begun stopped
before=$(main)
install 2
until_true is_another
kill -0 "$http" 2>/dev/null || die "the download was over too soon to tell anything"
systemctl stop windlass
wait "$http" || die "the download failed"
cmp stopped/file /usr/share/slow || die "another file was downloaded"

say "access log in a file"
sed -i 's,^access-log = "journal",access-log = "/var/log/windlass/access",' "$config"
systemctl restart windlass || die "restart with a file"
fetched http://127.0.0.1/common-licenses/GPL-3
has_line() { grep -q '"GET /common-licenses/GPL-3' "/var/log/windlass/$1"; }
until_true has_line access
mv /var/log/windlass/access /var/log/windlass/access.1
systemctl kill --signal USR1 --kill-whom=main windlass
until_true test -e /var/log/windlass/access
fetched http://127.0.0.1/common-licenses/GPL-3
until_true has_line access

say "what systemd says of all this"
said() { journalctl --quiet -u windlass.service -o cat SYSLOG_IDENTIFIER=systemd; }
! said | grep "reception only permitted" || die "a notification was not heard"
! said | grep "not our child" || die "systemd does not see the end of a new binary"

say "remove, purge"
package --remove windlass
! ls -l /proc/[0-9]*/exe 2>/dev/null | grep -q "/usr/bin/windlass" || die "it runs after its removal"
rm -r /usr/share/slow "$dropin" "${dropin%.service.d}.socket.d"
purge
echo done
