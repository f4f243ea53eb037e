"""Where a unit's memory is: what is refused, what is warned of, and what may be shown of it."""

from __future__ import annotations

import pytest

from caid_triage.errors import UsageError
from caid_triage.unit.place import UnitPlace, unit_place

SECRET = "hunter2-s3cret"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://adder:{SECRET}@server/unit",
        f"postgres://adder:{SECRET}@server:5433/unit?sslmode=verify-full",
        f"postgresql://server/unit?password={SECRET}",
        f"postgresql://server/unit?user=a&sslpassword={SECRET}",
        f"postgresql://server/unit?passfile=/tmp/{SECRET}",
        f"postgresql://a:{SECRET}@server:no-port/unit",
        f"postgresql://a:{SECRET}@[::1/unit",
        f"postgresql://server/unit?{SECRET}",
        f"mysql://a:{SECRET}@server/unit",
        f"postgresql://a:{SECRET}@one,two/unit",
        f"postgresql://server/unit?options=-c%20a={SECRET}",
    ],
)
def test_a_url_with_a_password_or_what_is_not_for_it_is_refused_and_never_quoted(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        unit_place(url)
    assert SECRET not in str(refused.value)
    assert SECRET not in repr(refused.value.__cause__)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("postgresql:///unit", {"dbname": "unit"}),
        ("postgres://reader@server.unit:5433/m%2Fx", {"user": "reader", "host": "server.unit", "port": "5433",
                                                      "dbname": "m/x"}),
        ("postgresql://%2Ftmp%2FSock/unit", {"host": "/tmp/Sock", "dbname": "unit"}),
        ("postgresql:///unit?host=/tmp/Sock&user=a", {"host": "/tmp/Sock", "user": "a", "dbname": "unit"}),
        ("postgresql://[::1]:5432/unit", {"host": "::1", "port": "5432", "dbname": "unit"}),
    ],
)  # fmt: skip
def test_what_libpq_is_told(url: str, server: dict[str, str]) -> None:
    assert unit_place(url) == UnitPlace(None, server)


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("postgresql://server/unit", True),
        ("postgresql://server/unit?sslmode=require", True),
        ("postgresql://10.0.0.7/unit", True),
        ("postgresql://server/unit?sslmode=verify-full", False),
        ("postgresql://localhost/unit", False),
        ("postgresql://127.0.0.9/unit", False),
        ("postgresql://[::1]/unit", False),
        ("postgresql:///unit?host=/tmp/sock", False),
        ("postgresql:///unit", False),
        ("some/file.db", False),
    ],
)
def test_the_way_to_another_machine_is_warned_of_unless_its_identity_is_checked(
    url: str, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGHOST", raising=False)
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert ("verify-full" in unit_place(url).warning()) == warned


def test_the_environment_of_libpq_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    for name, value in (("PGHOST", "server"), ("PGHOSTADDR", "10.0.0.7"), ("PGSERVICE", "unit")):
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            assert unit_place("postgresql:///unit").warning()
    assert unit_place("postgresql:///unit?service=unit").warning()
    monkeypatch.setenv("PGHOST", "server")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert not unit_place("postgresql:///unit").warning()


def test_what_is_shown_has_no_folder_and_no_user() -> None:
    assert str(unit_place("/home/officer/secret-operation/unit.db")) == "unit.db"
    assert str(unit_place("postgresql://officer@server:5433/unit?sslmode=require")) == "postgresql://server/unit"
    assert str(unit_place("postgresql:///unit?host=/home/officer")) == "postgresql:///unit"


@pytest.mark.parametrize("text", ["", "  ", "a\0b"])
def test_nothing_is_no_place(text: str) -> None:
    with pytest.raises(UsageError):
        unit_place(text)
