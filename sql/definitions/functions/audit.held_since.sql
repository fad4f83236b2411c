-- audit.held_since: up to which run a claim has held: what no later one has touched need not be looked at again.
CREATE OR REPLACE FUNCTION audit.held_since(claim text) RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    WITH held AS (
        SELECT max(check_results.run_no) AS run_no
        FROM audit.check_results
        INNER JOIN audit.runs ON check_results.run_no = runs.run_no
        -- Another check, or other rules, and everything is looked at.
        INNER JOIN audit.runs AS this ON runs.run_no < this.run_no AND runs.fingerprint = this.fingerprint
        WHERE
            check_results.claim = held_since.claim
            AND check_results.verdict = 'passed'
            AND runs.state = 'published'
            -- Of older ones it is no longer known what was replaced since.
            AND runs.started_at >= now() - audit.undo_kept_for()
            AND this.run_no = (SELECT audit.run_no())
    ),

    kept AS (
        SELECT
            ledger.rows_before,
            ledger.amount_before,
            lag(ledger.rows_before + ledger.rows_change) OVER runs_of_a_table AS rows_left,
            lag(ledger.amount_before + ledger.amount_change) OVER runs_of_a_table AS amount_left
        FROM audit.ledger
        WHERE ledger.run_no >= (SELECT held.run_no FROM held)
        WINDOW runs_of_a_table AS (PARTITION BY ledger.table_name ORDER BY ledger.run_no)
    )

    SELECT
        CASE
            -- What somebody has written between two runs no run says: everything is looked at.
            WHEN audit.written_by_hand_since(held.run_no)
                THEN 0
            -- Nor what came or went past the triggers: from a backup, for example.
            WHEN EXISTS (
                SELECT FROM kept WHERE kept.rows_before <> kept.rows_left OR kept.amount_before <> kept.amount_left
            )
                THEN 0
            ELSE coalesce(held.run_no, 0)
        END
    FROM held
$$;
COMMENT ON FUNCTION audit.held_since(text) IS 'The last run before this one that was published by the same SQL and in which a claim passed; 0 if there is none, if it is older than what replaced rows are kept for, or if anybody else has written core since.';
