"""Commands start quickly: nothing is imported that they do not use, and the workers of a scan are started first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from caid_triage.cli.interrupts import SENTENCE
from caid_triage.cli.main import COMMANDS, program

DECODERS = {"cv2", "PIL", "imagehash", "scipy", "av", "pillow_heif", "rawpy", "imagecodecs"}
HEAVY = DECODERS | {"numpy", "jinja2", "rich", "pytsk3", "pyewf", "sqlite3", "starlette", "uvicorn"}


def imported(*arguments: str | Path, after: str = "") -> set[str]:
    """The top-level modules that a process of the command line has imported at its end."""
    script = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        f"sys.argv[1:] = {[str(argument) for argument in arguments]!r}\n"
        f"{after}\n"
        "from caid_triage.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["scan", "--help"],
        ["match", "--help"],
        ["hashset", "--help"],
        ["hashset", "lookup", "-h"],
        ["review", "-h"],
    ],
)
def test_help_imports_nothing_that_help_does_not_need(words: list[str]) -> None:
    assert not imported(*words) & HEAVY


def test_a_look_up_loads_no_decoder(small) -> None:
    found = imported("hashset", "lookup", small.hashset, "00" * 16)
    assert "numpy" in found
    assert not found & (HEAVY - {"numpy"})


def test_a_scan_loads_no_decoder_into_the_process_that_holds_the_evidence(small, tmp_path: Path) -> None:
    folder = tmp_path / "exhibit"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"milk, bread\n")
    words = ["scan", folder, "--case", tmp_path / "case", "--workers", "1", "--quiet"]
    assert not imported(*words) & (DECODERS | {"numpy", "rich"})
    words[3] = tmp_path / "second"
    assert not imported(*words, "--hashset", small.hashset) & (DECODERS | {"rich"})


def test_the_short_helps_are_those_of_the_commands() -> None:
    assert {name: command.get_short_help_str(200) for name, command in program.commands.items()} == COMMANDS


def test_workers_are_started_before_anything_is_imported_or_opened(small, tmp_path: Path) -> None:
    """At the moment a worker is started, neither evidence nor case nor hash set can have been touched."""
    witness = tmp_path / "witness.json"
    watch = (
        "import subprocess\n"
        "begin = subprocess.Popen.__init__\n"
        "def watched(self, *a, **k):\n"
        f"    with open({str(witness)!r}, 'a') as file:\n"
        "        print(json.dumps(sorted(m for m in sys.modules if m.startswith('caid_triage'))), file=file)\n"
        "    begin(self, *a, **k)\n"
        "subprocess.Popen.__init__ = watched\n"
    )
    folder = tmp_path / "exhibit"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_bytes(b"%d" % number)
    imported("scan", folder, "--case", tmp_path / "case", "--workers", "3", "--quiet", after=watch)
    starts = [json.loads(line) for line in witness.read_text().splitlines()]
    assert len(starts) == 3
    for modules in starts:
        for room in ("evidence", "case", "hashset", "report", "examine"):
            assert not [name for name in modules if name.startswith(f"caid_triage.{room}")], room


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_behind_the_outcome_does_not_replace_it(number: str) -> None:
    """Python puts back the plain handlers as it ends: a signal there ended a command that was done as killed."""
    script = (
        "import atexit, os, signal, sys\n"
        f"atexit.register(lambda: os.kill(os.getpid(), signal.{number}))\n"
        "sys.argv[1:] = ['--version']\n"
        "from caid_triage.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_modules_in_the_working_folder_are_not_run(tmp_path: Path) -> None:
    """The folder may be the exhibit: ``python -m`` would take its json.py, numpy.py or click.py for ours."""
    for name in ("click", "json", "numpy", "sqlite3", "rich"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "caid_triage", "hashset", "info", "none.chs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "planted" not in done.stderr
    assert done.returncode in (2, 5), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no core files there")
def test_no_core_file_is_written_of_a_command_that_dies() -> None:
    """It would hold passwords and the bytes of a suspect's pictures."""
    script = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)\n"
        "from caid_triage.cli import main\n"
        "main.program.main = lambda **words: print(resource.getrlimit(resource.RLIMIT_CORE))\n"
        "main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout in ("(0, 0)\n", "(1, 1)\n")  # bytes: core(5) says what 1 is for


def test_an_error_that_came_of_an_interrupt_is_told_and_the_command_was_interrupted() -> None:
    """It ended with exit code 1, as if nobody had asked it to end."""
    script = (
        "import sys, click\n"
        "from caid_triage.cli import main\n"
        "@click.command()\n"
        "def untidy():\n"
        "    try:\n"
        "        raise KeyboardInterrupt\n"
        "    finally:\n"
        "        raise RuntimeError('release unlocked lock of a suspect')\n"
        "main.program.add_command(untidy)\n"
        "sys.argv = ['caid-triage', 'untidy']\n"
        "main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 130
    assert "a bug of ours (RuntimeError)" in done.stderr
    assert done.stderr.splitlines()[-1] == SENTENCE
    assert "suspect" not in done.stderr


def test_an_interrupt_that_makes_something_fail_is_130_and_both_are_told() -> None:
    """A set was being deleted: what Python had closed it closed again, and that was exit code 5."""
    script = (
        "import sys, click\n"
        "from caid_triage.cli import main\n"
        "from caid_triage.errors import HashSetError\n"
        "@click.command()\n"
        "def cut():\n"
        "    try:\n"
        "        try:\n"
        "            raise KeyboardInterrupt\n"
        "        finally:\n"
        "            raise OSError('bad file descriptor')\n"
        "    except OSError as error:\n"
        "        raise HashSetError('could not be deleted whole') from error\n"
        "main.program.add_command(cut)\n"
        "sys.argv = ['caid-triage', 'cut']\n"
        "main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines() == ["caid-triage: could not be deleted whole", SENTENCE]


@pytest.mark.parametrize("tidied", ["an object", "a generator"])
def test_a_signal_while_python_tidies_up_is_not_forgotten(tidied: str) -> None:
    """Python prints what is raised then and goes on; and the next Ctrl+C was ignored, as one while all is ended."""
    script = (
        "import signal, time\n"
        "from caid_triage.cli.interrupts import interruptible\n"
        "class Late:\n"
        "    def __del__(self):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        time.sleep(0)\n"
        "def late():\n"
        "    try:\n"
        "        yield\n"
        "    finally:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        time.sleep(0)\n"
        "with interruptible():\n"
        f"    one = {'Late()' if tidied == 'an object' else 'late()'}\n"
        f"    {'next(one)' if tidied == 'a generator' else ''}\n"
        "    try:\n"
        "        del one\n"
        "        time.sleep(60)\n"
        "    except KeyboardInterrupt:\n"
        "        print('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.stderr) == ("heard\n", "")
