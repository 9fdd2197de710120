"""The tables of the ratings' store, and in SQL which of their rows count. Knows no records."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS pairs (
    number INTEGER PRIMARY KEY, pair_id TEXT NOT NULL UNIQUE, category TEXT NOT NULL, origin TEXT NOT NULL,
    split TEXT NOT NULL, prompt TEXT NOT NULL, adapter_a TEXT NOT NULL, adapter_b TEXT NOT NULL, row TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY, record_id TEXT NOT NULL UNIQUE, pair_id TEXT NOT NULL REFERENCES pairs (pair_id),
    rater TEXT NOT NULL, preference TEXT NOT NULL, supersedes TEXT NOT NULL, batch TEXT NOT NULL, row TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS differences (pair_id TEXT PRIMARY KEY, difference REAL NOT NULL);
CREATE TABLE IF NOT EXISTS batches (name TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS pairs_category ON pairs (category);
CREATE INDEX IF NOT EXISTS records_pair ON records (pair_id);
CREATE INDEX IF NOT EXISTS records_rater ON records (rater);
CREATE INDEX IF NOT EXISTS records_supersedes ON records (supersedes, rater);
CREATE INDEX IF NOT EXISTS records_batch ON records (batch);
"""
# A rating counts until a later row of the same rater takes its place or takes it back.
CURRENT = """
    preference != 'withdrawn' AND NOT EXISTS (
        SELECT 1 FROM records AS later WHERE later.supersedes = records.record_id AND later.rater = records.rater
    )
"""
FIRST = "preference != 'withdrawn' AND supersedes = ''"
# Taking back what was said when the pair came a second time leaves the first answer as it was.
TAKEN_BACK = """EXISTS (
    SELECT 1 FROM records AS back WHERE back.preference = 'withdrawn' AND back.pair_id = records.pair_id
    AND back.rater = records.rater AND NOT EXISTS (
        SELECT 1 FROM records AS repeat WHERE repeat.record_id = back.supersedes
        AND json_extract(repeat.row, '$.is_repeat')
    )
)"""
# A first answer that was taken back before it was sealed, with its withdrawal: it never leaves this machine.
KEEP_HERE = """
    UPDATE records SET batch = 'kept here' WHERE batch = '' AND (
        supersedes = '' AND EXISTS (
            SELECT 1 FROM records AS back WHERE back.batch = '' AND back.preference = 'withdrawn'
            AND back.supersedes = records.record_id AND back.rater = records.rater
        ) OR preference = 'withdrawn' AND EXISTS (
            SELECT 1 FROM records AS first WHERE first.batch IN ('', 'kept here') AND first.supersedes = ''
            AND first.record_id = records.supersedes AND first.rater = records.rater
        )
    )
"""
