"""The version of the tool: printed in every report, part of what makes a run repeatable."""

__version__ = "0.1.0"
