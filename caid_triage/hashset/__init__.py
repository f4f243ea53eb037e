"""KNOWN MATERIAL: readers (one file a format), builder, memory-mapped store, category schemes as data.

The entry points are ``build.build_hashset``, ``store.open_hashset`` and ``schemes.load_scheme``.
"""
