"""Open and walk evidence, read-only: containers, partition tables, file systems, folders -> FileEntry."""
