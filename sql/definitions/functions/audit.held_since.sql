-- audit.held_since: up to which run a claim has held: what no later one has touched need not be looked at again.
CREATE OR REPLACE FUNCTION audit.held_since(claim text) RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT coalesce(max(check_results.run_no), 0)
    FROM audit.check_results
    INNER JOIN audit.runs ON check_results.run_no = runs.run_no
    WHERE
        check_results.claim = held_since.claim
        AND check_results.verdict = 'passed'
        AND runs.state = 'published'
        AND runs.run_no < (SELECT audit.run_no())
        -- Another check, or other rules, and everything is looked at.
        AND runs.fingerprint = (SELECT this.fingerprint FROM audit.runs AS this WHERE this.run_no = (SELECT audit.run_no()))
$$;
COMMENT ON FUNCTION audit.held_since(text) IS 'The last run before this one that was published by the same SQL and in which a claim passed; 0 if there is none.';
