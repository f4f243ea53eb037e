"""Queue files for tests."""

from __future__ import annotations

from pathlib import Path


def exhibit_table(reference: str, *sources: Path, **more: str | int) -> str:
    """An [[exhibit]] of a queue."""
    lines = ["[[exhibit]]", f'reference = "{reference}"', f"source = {[str(source) for source in sources]}"]
    lines += [f"{key} = {value!r}" for key, value in more.items()]
    return "\n".join(lines) + "\n"


def write_queue(folder: Path, *exhibits: str, hashset: Path | None = None, notify: str = "", marker: str = "") -> Path:
    """A queue.toml in a folder, whose cases go into ``cases`` beside it."""
    parts = [f'[defaults]\nhashsets = ["{hashset}"]\n'] if hashset else []
    parts += [f'[notify]\nfile = "{notify}"\n'] if notify else []
    parts += [f'[watch]\nmarker = "{marker}"\n'] if marker else []
    path = folder / "queue.toml"
    path.write_text("\n".join([*parts, *exhibits]), encoding="utf-8")
    return path
