-- audit.replay: correct fields of a rejected row; the next run tries it again.
CREATE OR REPLACE FUNCTION audit.replay(
    rejected_row_id bigint, corrected jsonb, overwrite boolean DEFAULT false
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    rejected audit.rejected_rows;
    declared text [];
    entity text;
    key text;
    newer_run_no integer;
    waiting_row_id bigint;
    corrected_fields jsonb;
    odd text;
    replaying bigint;
BEGIN
    PERFORM audit.refuse_while_a_run_is_open('a newer row of that key may be on its way');
    SELECT rejected_rows.* INTO rejected
    FROM audit.rejected_rows
    WHERE rejected_rows.rejected_row_id = replay.rejected_row_id
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no rejected row %', replay.rejected_row_id;
    END IF;
    IF coalesce(rejected.released_run_no, rejected.superseded_run_no) IS NOT NULL THEN
        RAISE EXCEPTION 'row % is closed: %', replay.rejected_row_id, coalesce(
            rejected.closed_by,
            format('run %s has released or replaced it', coalesce(rejected.released_run_no, rejected.superseded_run_no))
        );
    END IF;
    IF jsonb_typeof(replay.corrected) IS DISTINCT FROM 'object'
        OR jsonb_path_exists(replay.corrected, '$.* ? (@.type() == "object" || @.type() == "array")')
    THEN
        RAISE EXCEPTION 'a correction is an object of column and value, like {"price": "1200"}';
    END IF;
    SELECT sources.columns, sources.entity INTO declared, entity
    FROM audit.sources
    WHERE sources.source = rejected.source;
    SELECT string_agg(given.name, ', ') INTO odd
    FROM jsonb_object_keys(replay.corrected) AS given (name)
    WHERE given.name <> ALL (declared);
    IF odd IS NOT NULL THEN
        RAISE EXCEPTION '% has no column %', rejected.source, odd
            USING HINT = format('It has %s.', array_to_string(declared, ', '));
    END IF;
    corrected_fields := coalesce(rejected.fields, '{}') || replay.corrected;
    SELECT string_agg(wanted.name, ', ') INTO odd
    FROM unnest(declared) AS wanted (name)
    WHERE NOT corrected_fields ? wanted.name;
    IF odd IS NOT NULL THEN
        RAISE EXCEPTION 'row % was no record: it needs every column; % missing', replay.rejected_row_id, odd;
    END IF;

    IF audit.number_of(corrected_fields ->> 'customer_id') IN (SELECT forgotten_customers.customer_id FROM core.forgotten_customers) THEN
        RAISE EXCEPTION 'customer % was erased: nothing of the person is taken in', corrected_fields ->> 'customer_id';
    END IF;

    -- The first column that a source declares is its key.
    key := audit.bare(corrected_fields ->> declared[1]);
    IF NOT replay.overwrite AND audit.is_id(key) THEN
        EXECUTE format('SELECT run_no FROM core.%I WHERE %I = $1 AND run_no >= $2', entity, declared[1])
        INTO newer_run_no
        USING key::bigint, rejected.first_run_no;
        IF newer_run_no IS NOT NULL THEN
            RAISE EXCEPTION 'core.% has a row of that key that came since: in run %', entity, newer_run_no
                USING HINT = 'If the correction is the newer one: audit.replay(…, overwrite => true).';
        END IF;
        SELECT newer.rejected_row_id INTO waiting_row_id
        FROM audit.rejected_rows AS newer
        WHERE
            newer.source = rejected.source
            AND newer.is_waiting
            AND newer.released_run_no IS NULL
            AND newer.superseded_run_no IS NULL
            AND newer.rejected_row_id <> rejected.rejected_row_id
            AND newer.first_run_no >= rejected.first_run_no
            AND audit.bare(newer.fields ->> declared[1]) = key
            -- Of two corrections the later one wins.
            AND newer.corrects_row_id IS NULL
        LIMIT 1;
        IF waiting_row_id IS NOT NULL THEN
            RAISE EXCEPTION 'row % of that key came since and waits', waiting_row_id
                USING HINT = 'If the correction is the newer one: audit.replay(…, overwrite => true).';
        END IF;
    END IF;

    UPDATE audit.rejected_rows
    SET superseded_run_no = (SELECT max(runs.run_no) FROM audit.runs)
    WHERE rejected_rows.rejected_row_id = replay.rejected_row_id;
    -- Of two corrections the later one wins, also where it repeats one before.
    UPDATE audit.rejected_rows AS earlier
    SET superseded_run_no = (SELECT max(runs.run_no) FROM audit.runs), closed_by = 'corrected once more'
    WHERE
        earlier.source = rejected.source
        AND earlier.rule = 'line waits'
        AND earlier.fields = corrected_fields
        AND earlier.released_run_no IS NULL
        AND earlier.superseded_run_no IS NULL;
    INSERT INTO audit.rejected_rows (
        source, file, line_no, fields, reason, corrects_row_id, first_run_no, last_run_no
    )
    VALUES (
        rejected.source, rejected.file, rejected.line_no, corrected_fields, 'line waits: corrected by hand, for the next run',
        replay.rejected_row_id, rejected.last_run_no, rejected.last_run_no
    )
    RETURNING rejected_rows.rejected_row_id INTO replaying;
    UPDATE audit.rejected_rows
    SET closed_by = format('corrected as row %s by %s', replaying, session_user)
    WHERE rejected_rows.rejected_row_id = replay.rejected_row_id;
    RETURN replaying;
END $$;
COMMENT ON FUNCTION audit.replay(bigint, jsonb, boolean) IS 'Correct fields of a rejected row: the next run judges it anew, as a row that waited; refused where a newer row of that key is in core or waits, unless told to overwrite, and where the customer was erased. Returns the number of the corrected row.';
