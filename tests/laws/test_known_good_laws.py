"""What need not be decoded is what the naive way says, and a look-up of one digest never misses what a set holds."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caid_triage.hashset.build import build_hashset
from caid_triage.hashset.prefix import may_be_present, perhaps_present
from caid_triage.hashset.search import digest_index, exact_pairs, may_be_in
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match.known_good import is_known_good
from caid_triage.model import Digests, Role

CALM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
KINDS = ("md5", "sha1", "sha256")
# Digest n of each kind: contents pick one of each, as a forger with collisions could.
DIGESTS = {name: [hashlib.new(name, bytes([n])).digest() for n in range(4)] for name in KINDS}


@dataclass(frozen=True)
class Entry:
    """One row of a set: for each kind of digest which it states, None for none."""

    role: Role
    states: tuple[int | None, int | None, int | None]

    def meets(self, content: tuple[int, int, int], kind: int) -> bool:
        return self.states[kind] == content[kind]


def naively_known_good(content: tuple[int, int, int], entries: list[Entry]) -> bool:
    """The rule of docs/decisions/0046, entry by entry."""
    for entry in entries:
        if entry.role is Role.NOTABLE and any(entry.meets(content, kind) for kind in range(3)):
            return False
    for entry in entries:
        if entry.role is Role.KNOWN_GOOD:
            by_sha256 = entry.meets(content, 2)
            by_sha1 = entry.meets(content, 1) and entry.states[2] is None
            if by_sha256 or by_sha1:
                return True
    return False


def built(entries: list[Entry], folder: Path) -> list[HashSet]:
    """A set of each role that has entries."""
    sets = []
    for role in Role:
        rows = [entry.states for entry in entries if entry.role is role]
        if rows:
            lines = [",".join("" if n is None else DIGESTS[k][n].hex() for k, n in zip(KINDS, row, strict=True))
                     for row in rows]  # fmt: skip
            source, out = folder / f"{role}.csv", folder / f"{role}.chs"
            source.write_text("md5,sha1,sha256\n" + "\n".join(lines) + "\n")
            build_hashset([source], out, role=role, name=str(role))
            sets.append(open_hashset(out))
    return sets


choice = st.one_of(st.none(), st.integers(0, 3))
entry = st.builds(
    Entry, st.sampled_from(list(Role)), st.tuples(choice, choice, choice).filter(lambda states: any(
        state is not None for state in states))
)  # fmt: skip
contents = st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=12)


@settings(CALM, max_examples=15)
@given(st.lists(entry, min_size=1, max_size=8), contents)
def test_what_need_not_be_decoded_is_what_the_rule_says(
    entries: list[Entry], asked: list[tuple[int, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sets = built(entries, Path(folder))
        for content in asked:
            digests = Digests(*(DIGESTS[kind][n] for kind, n in zip(KINDS, content, strict=True)))
            assert is_known_good(digests, sets) == naively_known_good(content, entries)


# Words that often share a slot and a fingerprint, or neither.
word = st.one_of(
    st.integers(0, (1 << 64) - 1), st.builds(lambda high, low: high << 58 | low, st.integers(0, 3), st.integers(0, 3))
)


@CALM
@given(st.lists(word, min_size=1, max_size=200), st.lists(word, max_size=200), st.booleans())
def test_one_digest_is_looked_up_as_many_are(held: list[int], asked: list[int], alike: bool) -> None:
    rows = np.array(held * (20 if alike else 1), dtype=np.uint64).reshape(-1, 1)
    index = digest_index(rows)
    words = np.array(held + asked, dtype=np.uint64)
    perhaps = set(perhaps_present(index.present, words).tolist())
    assert [may_be_present(index.present, word) for word in held + asked] == [n in perhaps for n in range(len(words))]
    found = set(exact_pairs(index, words.reshape(-1, 1))[0].tolist())
    answers = {n for n, word in enumerate(held + asked) if may_be_in(index, word)}
    assert found <= answers <= perhaps
    low = {int(word) & 0xFFFFFFFF for word in held}
    assert alike or all((held + asked)[n] & 0xFFFFFFFF in low for n in answers - found)
