#!/usr/bin/env bash
# The pipeline where core is distributed (Citus) and on one server, on the same files: a first load, the night after it,
# in which orders move to other customers, and the undo of that night. Prints ratios; compares every table row by row.
#
#   DATABASE_URL=postgresql://ltv_pipeline:…@host/new_database N=300000 bench/distributed.sh
#
# The database is a new one, with the extension and its workers; the one server is the script's own. N is the number of
# orders. Exits with 0 only if no row differs.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?names a new database that has the extension citus, by the login of the pipeline}"
: "${N:=300000}"
python=.venv/bin/python
place=$(mktemp -d) && chmod 755 "$place"
trap 'PYTHONPATH=ops $python -c "import pathlib, server; server.find(pathlib.Path(\"$place/server\")).remove()"; rm -rf "$place"' EXIT
export PATH="$PATH:$(PYTHONPATH=ops $python -c 'import server; print(server.wheel_folder())')/pginstall/bin"

# The one server and the files: PLACE/url, PLACE/admin_url, PLACE/full-N, PLACE/delta-1.
PYTHONPATH=bench $python - "$place" "$N" <<'PYTHON'
import sys
from pathlib import Path
import harness
place, orders = Path(sys.argv[1]), int(sys.argv[2])
made = harness.server.create(place / "server")
for name, url in (("url", made.url), ("admin_url", made.admin_url)):
    (place / name).touch(0o600)
    (place / name).write_text(url)
harness.generate_first(made, place, orders)
harness.delta(made, place, orders, 1)
PYTHON
mv "$place/full-$N" "$place/night-1" && mv "$place/delta-1" "$place/night-2"
awk -F, -v OFS=, -v customers=$((N / 10)) 'NR > 1 && NR % 40 == 0 { $2 = $2 % customers + 1 } { print }' \
    "$place/night-2/order_data.csv" > "$place/moved" && mv "$place/moved" "$place/night-2/order_data.csv"

one() { DATABASE_URL=$(< "$place/url") ADMIN_DATABASE_URL=$(< "$place/admin_url") "$@"; }
many() { DISTRIBUTED=yes "$@"; }
sql() { $python ops/psql.py <<< "SET statement_timeout = 0; $1"; }

# What is one and the same: all but the clock's, and numbers that hang on the order of rows.
rows() {
    sql "SELECT (to_jsonb(kept) - ARRAY['updated_at', 'published_at', 'change_no', 'started_at', 'ended_at', 'deployed_at',
            'dag_run_id', 'dag_run_started_at', 'reason', 'checked_at', 'seconds', 'loaded_at', 'first_seen_at', 'last_seen_at', 'rejected_row_id',
            CASE '$1' WHEN 'audit.replaced_rows' THEN 'customer_id' ELSE '' END] #- '{replaced,updated_at}')::text
        FROM $1 AS kept" | LC_ALL=C sort
}

differ=0
compare() {
    for table in core.customers core.orders core.payments core.customer_activity core.stale_customers \
        intermediate.customer_ltv marts.customer_ltv marts.customer_ltv_history marts.freshness \
        audit.runs audit.loads audit.ledger audit.check_results audit.rejected_rows audit.replaced_rows; do
        one rows "$table" > "$place/one" && many rows "$table" > "$place/many"
        found=$(diff "$place/one" "$place/many" | grep -c '^[<>]' || true)
        printf '%-14s %-28s %9d rows, %d differ\n' "$1" "$table" "$(wc -l < "$place/one")" "$found"
        differ=$((differ + found))
    done
}

seconds() {
    sql "SELECT split_part(task, '.', 1), sum(seconds) FROM audit.steps WHERE run_no = $1 GROUP BY 1
        UNION ALL SELECT 'whole', extract(EPOCH FROM ended_at - started_at) FROM audit.runs WHERE run_no = $1 ORDER BY 1"
}

days=(- 2026-01-31 2026-02-01)
for night in 1 2; do
    for where in one many; do
        DATA=$place/night-$night AS_OF=${days[night]} $where $python ops/run.py > "$place/log" 2>&1 \
            || { cat "$place/log"; exit 1; }
    done
    paste -d '|' <(one seconds $night) <(many seconds $night) | awk -F '|' -v night=$night \
        '{ printf "night %d  %-13s one server %7.1f s, distributed %7.1f s: %5.2f\n", night, $1, $2, $4, $4 / $2 }'
    compare "night $night"
done
for where in one many; do
    $where sql "BEGIN; SELECT audit.undo_run(2, 'bench', 'to compare'); COMMIT" > /dev/null
done
compare 'after an undo'
exit $((differ > 0))
