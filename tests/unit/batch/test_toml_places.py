"""Lines of tables and keys: right wherever they are told, whatever stands in strings, comments and arrays."""

from __future__ import annotations

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.batch.toml_places import places

TEXT = '''# [[exhibit]] in a comment
cases = "x [[exhibit]]"
words = """
[[exhibit]]
reference = "no"
"""
[defaults]
hashsets = [
  "a.chs", # ] not the end
  "[[exhibit]]",
]
[[exhibit]]
reference = "ABC/1"
'source' = 'it''s'
  [[ exhibit ]]   # the second
  "reference" = "x"
'''


def test_the_lines_of_tables_and_keys() -> None:
    found = places(TEXT)
    assert found.tables == {"defaults": [7], "exhibit": [12, 15]}
    assert found.line("", 0, "cases") == 2
    assert found.line("defaults", 0, "hashsets") == 8
    assert found.line("exhibit", 0, "source") == 14
    assert found.line("exhibit", 1, "reference") == 16
    assert found.line("exhibit", 1, "profile") == 15  # a key that is not there: where its table begins
    assert found.line("exhibit", 2) is None


_STRINGS = st.text(st.sampled_from("ab[]{}#='\\ \u00e9"), max_size=8)


def _spelt(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_VALUES = st.one_of(
    _STRINGS.map(_spelt),
    st.lists(_STRINGS, max_size=3).map(
        lambda texts: "[\n" + "".join(f"  {_spelt(one)}, # [[x]]\n" for one in texts) + "]"
    ),
    _STRINGS.filter(lambda text: "\\" not in text).map(lambda text: '"""\n' + text + '\n[[exhibit]]\n"""'),
    st.integers(0, 9).map(str),
)


@settings(max_examples=60)
@given(st.lists(st.lists(_VALUES, min_size=1, max_size=3), max_size=4))
def test_every_table_and_key_is_placed_where_it_was_written(tables: list[list[str]]) -> None:
    lines: list[str] = []
    expected: list[tuple[int, list[int]]] = []
    for values in tables:
        lines.append("[[exhibit]]")
        head, keys = len(lines), []
        for number, value in enumerate(values):
            keys.append(len(lines) + 1)
            lines += f"key{number} = {value}".split("\n")
        expected.append((head, keys))
    text = "\n".join(lines)
    assert len(tomllib.loads(text).get("exhibit", [])) == len(tables)
    found = places(text)
    assert found.tables.get("exhibit", []) == [head for head, _ in expected]
    for number, (_, keys) in enumerate(expected):
        assert [found.line("exhibit", number, f"key{place}") for place in range(len(keys))] == keys


@given(st.text(max_size=200))
def test_any_text_at_all_is_got_through(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for lines in places(text).tables.values() for line in lines)
