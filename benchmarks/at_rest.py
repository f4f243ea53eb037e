"""What protecting a set at rest would cost: keyed digests beside plain look-ups, decryption beside mapping.

python benchmarks/at_rest.py --entries 1000000 --keep

Keyed digests: nanoseconds of CPU time to key one MD5 (BLAKE2b with a key; HMAC-SHA-256), one call a digest as
Python has it, beside a whole look-up of one in a batch of 10,000. Encryption: seconds to decrypt the set's columns with
AES-256 (the `openssl` command, less its start) beside opening the set mapped. Read in docs/decisions/0014.
"""

from __future__ import annotations

import argparse
import hmac
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from store_bench import about_the_run, cpu_seconds, finish

from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import open_hashset

BATCH = 10_000
ROUNDS = 15


def children_seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of the processes that ``work`` starts and waits for."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime


def decryption(folder: Path, scratch: Path) -> dict[str, Any] | None:
    """Seconds to decrypt all columns of a set in one stream; None without openssl."""
    program = shutil.which("openssl")
    if program is None:
        return None
    plain, cipher, empty = scratch / "plain", scratch / "cipher", scratch / "empty"
    with plain.open("wb") as file:
        for column in sorted(folder.rglob("*.npy")):
            file.write(column.read_bytes())
    empty.write_bytes(b"")
    key = ["-K", "00" * 32, "-iv", "00" * 16]  # of a made set: the time does not depend on it
    subprocess.run([program, "enc", "-aes-256-ctr", *key, "-in", plain, "-out", cipher], check=True)

    def decrypt(path: Path) -> None:
        subprocess.run([program, "enc", "-d", "-aes-256-ctr", *key, "-in", path, "-out", os.devnull], check=True)

    whole = statistics.median(children_seconds(lambda: decrypt(cipher)) for _ in range(5))
    start = statistics.median(children_seconds(lambda: decrypt(empty)) for _ in range(5))
    size = plain.stat().st_size
    return {
        "bytes": size,
        "cpu_s": round(whole - start, 4),
        "gb_per_s": round(size / max(whole - start, 1e-9) / 1e9, 2),
    }


def opening(path: Path) -> float:
    """Median wall seconds of opening the set, mapped."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        open_hashset(path)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/runs")
    options = parser.parse_args()
    rng = np.random.default_rng(14)
    key = bytes(range(32))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        md5 = rng.integers(0, 256, (options.entries, 16), dtype=np.uint8)
        pdq = rng.integers(0, 256, (options.entries, 32), dtype=np.uint8)
        build_hashset_from_arrays(folder / "set.chs", md5=md5, pdq=pdq)
        hashset = open_hashset(folder / "set.chs")
        queries = rng.integers(0, 256, (BATCH, 16), dtype=np.uint8)
        texts = [row.tobytes() for row in queries]
        per = {
            "look_up_plain": cpu_seconds(lambda: hashset.exact("md5", queries), ROUNDS),
            "key_blake2b": cpu_seconds(lambda: [blake2b(x, digest_size=16, key=key).digest() for x in texts], ROUNDS),
            "key_hmac_sha256": cpu_seconds(lambda: [hmac.digest(key, x, "sha256") for x in texts], ROUNDS),
        }
        figures = {
            **about_the_run(),
            "entries": options.entries,
            "ns_per_query": {what: round(seconds / BATCH * 1e9) for what, seconds in per.items()},
            "open_mapped_s": round(opening(folder / "set.chs"), 5),
            "decrypt_aes_256": decryption(folder / "set.chs", folder),
        }
    finish("at-rest", figures, options.keep)


if __name__ == "__main__":
    main()
