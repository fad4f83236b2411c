-- audit.alert_body: an alert's four lines: what has happened, where, why, and the command to look further.
CREATE OR REPLACE FUNCTION audit.alert_body(
    what text, place text, why text,
    look text DEFAULT 'echo ''SELECT run_no, as_of, state, reason FROM audit.runs '
    'ORDER BY run_no DESC LIMIT 3'' | make -s psql'
) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN concat_ws(chr(10), 'What:  ' || what, 'Where: ' || place, 'Why:   ' || why, 'Look:  ' || look);
COMMENT ON FUNCTION audit.alert_body(text, text, text, text) IS 'An alert''s four lines: what has happened, where, why, and the command to look further; a line without a text is left out.';
