"""An interrupt that comes while something is put down whole: it waits for that, and is raised behind it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from caid_triage.cli.interrupts import INTERRUPTED, interruptible
from caid_triage.held import has_to_wait, interrupt_held


def test_an_interrupt_waits_for_the_end_of_the_outermost_block() -> None:
    done: list[str] = []

    def put_down() -> None:
        with interrupt_held():
            with interrupt_held():
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")
        done.append("behind")

    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            put_down()
        assert done == ["inner", "outer"]
        with interrupt_held():  # it was raised once
            done.append("next")
    assert done[-1] == "next"


def test_without_a_block_it_does_not_wait() -> None:
    with interruptible(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert not has_to_wait()


def test_a_failure_inside_does_not_take_its_place() -> None:
    def fail() -> None:
        with interrupt_held():
            signal.raise_signal(signal.SIGTERM)
            raise OSError

    with interruptible(), pytest.raises(KeyboardInterrupt) as met:
        fail()
    assert isinstance(met.value.__context__, OSError)


def test_another_thread_holds_nothing() -> None:
    """Signals come to the main thread: it would wait for that one, and that one would get its interrupt."""
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with interrupt_held():
            held.set()
            go_on.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    assert not has_to_wait()
    go_on.set()
    thread.join()


def test_the_third_does_not_wait() -> None:
    script = (
        "import signal\n"
        "from caid_triage.cli.interrupts import interruptible\n"
        "from caid_triage.held import interrupt_held\n"
        "with interruptible(), interrupt_held():\n"
        "    for _ in range(3):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    print('it waited')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (INTERRUPTED, "")
