#!/bin/sh
# Installs the real servers that the tests and the Kamailio demonstration start themselves.
# Without apt or root nothing is installed: what needs them then skips and says so (in CI it fails).
set -eu

packages=""
for server in "$@"; do
    case "$server" in
        kamailio) command -v kamailio >/dev/null || packages="$packages kamailio kamailio-postgres-modules kamailio-extra-modules" ;;
        postgresql) ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$packages postgresql" ;;
        chromium) command -v chromium >/dev/null || packages="$packages chromium" ;;
        *) echo "unknown server: $server" >&2; exit 2 ;;
    esac
done
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "Not installed, since this needs apt and root:$packages" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# The servers must not start by themselves: tests start their own on free ports of 127.0.0.1.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $packages >/dev/null
