"""The benchmark's company: what is measured is right, on the day after too, whichever way that day is delivered."""

import harness
import psycopg
from support import fetch

PUBLISHED = """SELECT customer_id, total_orders, total_amount, avg_order_value, ltv, first_order_date, last_order_date,
    orders_per_year, avg_lifespan_years FROM marts.customer_ltv ORDER BY customer_id"""


def test_a_delta_comes_to_what_the_snapshot_of_that_day_says(cluster, new_database, template, tmp_path) -> None:
    folders = harness.generate(cluster, tmp_path, 2000)
    results = []
    for name in ("delta", "snapshot"):
        url = new_database(f"ltv_bench_{name}", template)
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE audit.sources SET max_volume_fall = 1")
        seconds = harness.run(url, folders["full"], "2026-01-31", "first")
        assert seconds["total"] >= seconds["core.customer_activity"] > 0
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE audit.sources SET kind = %s", [name])
        harness.run(url, folders[name], "2026-02-01", "second")
        results.append(fetch(url, PUBLISHED))
        assert fetch(url, "SELECT count(*) FROM core.orders") == [(2010,)]
    assert results[0] == results[1]
    assert len(results[0]) == 201
