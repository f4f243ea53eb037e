"""Near matches that the guards of matching withheld, as the notes that a case has of them."""

# One note a file and set: never one row a withheld match.
WITHHELD = """SELECT w.entry_id, w.hashset_id * 1000 + w.position AS position, 'match' AS step,
    'near-' || w.reason AS code,
    CASE w.reason WHEN 'flood' THEN 'looks like ' || (w.matches + w.kept) || ' entries of ' || h.name || ' by ' ||
        w.algorithm || ' (distance up to ' || w.threshold || '): too many to mean anything; the nearest ' || w.kept ||
        ' are listed, ' || w.matches || ' are not'
    WHEN 'common' THEN 'shares only frames with ' || w.matches || ' videos of ' || h.name || ' that many of its videos '
        || 'have, such as a title or a logo: not proposed'
    ELSE w.matches || ' look-alikes in ' || h.name || ' by ' || w.algorithm || ' (nearest ' || w.nearest || ' of ' ||
        w.threshold || ') are not proposed: the ' || CASE w.algorithm WHEN 'vpdq' THEN 'film' ELSE 'picture' END ||
        ' is nearer to an entry of ' || w.by_set END AS detail,
    'note' AS severity
FROM withheld w JOIN hashset h ON h.id = w.hashset_id"""
