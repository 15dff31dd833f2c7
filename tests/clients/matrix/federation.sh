# A federation of two sites and a coordinator, over TLS and under policy: sourced by tests/clients/matrix/run and
# tests/clients/sqlalchemy/run.
#
# start_federation ROOT: writes data, certificates, users, policies and configurations below ROOT and starts one node after
# the other; sets COORDINATOR, NORTH and PLAIN to HOST:PORT, and DOORS to those of the sites. A further site of SITES is one
# that the caller has begun: SITE.toml with its name, sources and policy, below ROOT. COORDINATOR_MORE is of coordinator.toml;
# ISSUER, a table of TOML, is an issuer of tokens that all nodes believe.

NODES=()
declare -A DOORS=()
: "${SITES:=north south}" "${COORDINATOR_MORE:=}" "${ISSUER:=}"

policies() {
    mkdir -p north-policy south-policy
    cat >north-policy/all.sql <<'END'
CREATE PURPOSE research COMMENT 'registered studies';
GRANT SELECT ON SCHEMA lab TO ROLE analyst FOR PURPOSE research;
GRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE research;
CREATE TAG kind VALUES ('contact', 'register');
ALTER TABLE civil.people SET TAG kind = 'register';
ALTER TABLE civil.people ALTER COLUMN phone SET TAG kind = 'contact';
CREATE POLICY phones ON TABLE civil.people COLUMN MASK show_last(2) COLUMNS (phone) TO ROLE analyst;
CREATE POLICY own_regions ON TABLE civil.people ROW FILTER (region IN attribute('regions')) TO ALL;
END
    cat >south-policy/all.sql <<'END'
CREATE PURPOSE research COMMENT 'registered studies';
GRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE research;
END
}

configurations() {
    local site
    cat >north.toml <<'END'
name = "north"
source = [
    { name = "civil", kind = "files", root = "data/north/civil", table = [
        { name = "people", path = "people.parquet", comment = "Residents by the end of last year", primary_key = ["id_no"],
          column_comments = { phone = "of the household" } }] },
    { name = "lab", kind = "files", root = "data/north/lab" },
]
END
    cat >south.toml <<'END'
name = "south"
source = [{ name = "civil", kind = "files", root = "data/south/civil" }]
END
    for site in north south; do
        echo "policy = { administrators = [\"administrator\"], directory = \"$site-policy\" }" >>$site.toml
    done
    for site in $SITES; do
        cat >>$site.toml <<END
listen = "127.0.0.1:0"
state = "$site-state"
peers = ["coordinator"]
tls = { certificate = "certs/$site.crt", key = "certs/$site.key", authority = "certs/authority.crt" }
users = { file = "users.toml" }
issuer = [{ name = "coordinator", trust = "coordinator", roles = ["analyst", "auditor"] }${ISSUER:+, $ISSUER}]
END
    done
    cat >coordinator.toml <<END
listen = "127.0.0.1:0"
tls = { certificate = "certs/coordinator.crt", key = "certs/coordinator.key", authority = "certs/authority.crt" }
users = { file = "users.toml" }
${ISSUER:+issuer = [$ISSUER]}
$COORDINATOR_MORE
END
}

users() {
    # shellcheck disable=SC2046
    chancery certs init --dir certs --node coordinator $(printf -- '--node %s ' $SITES) >/dev/null &&
        chancery user add --file users.toml analyst --role analyst --purpose research --default-purpose research \
            --attribute 'regions=["north","south"]' <<<analyst &&
        chancery user add --file users.toml stranger --role visitor <<<stranger &&
        chancery user add --file users.toml admin --role administrator <<<admin
}

# start NAME KIND: starts a node and waits for its address, which it leaves in ADDRESS.
start() {
    : >"$1.out"
    chancery "$2" --config "$1.toml" >"$1.out" 2>"$1.log" &
    NODES+=($!)
    for _ in $(seq 240); do
        ADDRESS="$(sed -n 's#.* serves grpc[+tls]*://##p' "$1.out")"
        [ -n "$ADDRESS" ] && return 0
        kill -0 $! 2>/dev/null || break
        sleep 0.25
    done
    echo "clients: the node $1 does not serve"
    tail -n 20 "$1.log"
    return 1
}

start_federation() {
    cd "$1" || return 1
    "$CHANCERY_TEST_PYTHON" "$MATRIX/tables.py" data && users && policies && configurations || return 1
    local site
    for site in $SITES; do
        start $site site || return 1
        echo "[[site]]
name = \"$site\"
address = \"https://localhost:${ADDRESS##*:}\"" >>coordinator.toml
        DOORS[$site]="localhost:${ADDRESS##*:}"
    done
    NORTH="${DOORS[north]}"
    start coordinator coordinator || return 1
    COORDINATOR="localhost:${ADDRESS##*:}"
    # A door without TLS, for the client that cannot be told an authority.
    { echo 'plaintext = true'; cat coordinator.toml; } >plain.toml
    start plain coordinator || return 1
    PLAIN="localhost:${ADDRESS##*:}"
}

stop_federation() {
    local node
    for node in "${NODES[@]}"; do kill -INT "$node" 2>/dev/null; done
    for node in "${NODES[@]}"; do wait "$node" 2>/dev/null; done
}
