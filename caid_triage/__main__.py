"""``python -m caid_triage``: the same as the command ``caid-triage``."""

from caid_triage.cli.main import main

if __name__ == "__main__":
    main()
