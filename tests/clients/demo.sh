#!/usr/bin/env bash
# Asks a running demo as each of its users, and at the doors of its sites by the commands that it printed.
#
#   tests/clients/demo.sh LOG        what the demo has printed; `chancery` is on the PATH, $CHANCERY_TEST_PYTHON has ADBC
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

LOG="$1"
ADDRESS=127.0.0.1:32010
failed=0

# fail SENTENCE…: says it, and that something is wrong.
fail() {
    printf 'demo: %s\n' "$*"
    failed=1
}

# ask USER FILE…: compares what the user is answered with the files.
ask() {
    CHANCERY_PASSWORD="$1" "$CHANCERY_TEST_PYTHON" adbc.py "$ADDRESS" "$@" || failed=1
}

# printed NAME: the command that the demo has printed under that name.
printed() {
    awk -v name="$1" '$1 == name && $2 ~ /^CHANCERY_PASSWORD=/ { sub(/^ *[a-z]+ */, ""); there = 1 }
        there { sub(/\\$/, ""); print; if (/grpc/) exit }' "$LOG" | tr -d '\n'
}

# shows NAME STATEMENT EXPECTED: the first column of the answer to that command, without its header, is this.
shows() {
    local command answer
    command="$(printed "$1")"
    [ -n "$command" ] || { fail "no command for $1 is printed"; return; }
    answer="$(eval "$command --format csv -c \"\$2\"" 2>&1 | tail -n +2 | cut -d, -f1 | sort | paste -sd' ')"
    [ "$answer" = "$3" ] && echo "demo: $1: $2: ok" || fail "$1: $2: \"$answer\" where \"$3\" is expected"
}

ask analyst demo.sql demo/analyst.sql
for user in desk registrar visitor admin; do
    ask $user demo/$user.sql
done
# Last: what the others have asked is in the record.
ask auditor demo/auditor.sql

shows bts "SHOW POLICIES" "aircraft own_stations"
shows faa "SHOW POLICIES" "aircraft model seats speed"
shows noaa "SHOW POLICIES" ""
shows noaa "SHOW GRANTS" "noaa-registration noaa-safety noaa-stations"
# The address that a refusal names is one that the shell reaches.
eval "$(printed faa | sed 's/localhost/127.0.0.1/') -c 'SHOW TAGS'" >/dev/null || fail "no way to grpc+tls://127.0.0.1:32012"

described="$(eval "$(printed shell) -c '\d faa.registry.planes'" 2>&1)"
grep -q "speed .*seen as replace_with_null" <<<"$described" || fail "the shell does not mark speed: $described"

exit $failed
