"""``python -m caid_triage`` and the command ``caid-triage``: ready to be interrupted before anything is imported."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # ``python -m`` looks for modules in the working folder first, which may be the exhibit: its json.py is not ours.
    del sys.path[0]

from caid_triage.cli.interrupts import end_when_asked, outcome_stands


def main() -> None:
    """Entry point: the command line, imported only when a signal cannot end us as something else than interrupted."""
    end_when_asked()
    from caid_triage.cli.main import main as command  # noqa: PLC0415 - see above

    try:
        command()
    finally:
        outcome_stands()


if __name__ == "__main__":
    main()
