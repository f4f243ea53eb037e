"""Carving: files found by their own structure in space that no living file has (docs/formats/carving.md)."""
