"""Logical images: containers of files and not of a disk (L01, Lx01, AD1)."""
