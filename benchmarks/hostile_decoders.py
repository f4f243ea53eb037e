"""How many malformed files each single decoder opens, and our chain: all in one run, each in its own process.

    python benchmarks/hostile_decoders.py CORPUS [--deadline S] [--memory BYTES] [--only NAME ...] [--raw FILE]

CORPUS is a folder or a tar archive. Every decoder works in a supervised child with an address-space
cap; a file that is late kills the child, which counts as "hang". Prints JSON: per decoder the
outcomes, the longest time and the deaths; opened by any, by ours, the share, and every file that a
decoder opens and ours does not, by type and reason.

What "opens" means. Pillow, OpenCV, simplejpeg and pillow-heif: pixels come back (``load()`` without
an exception). PyAV: the first frame of the first video stream comes back, and its demuxer is not one
of those that draw text or read bare bytes without a signature (``NOT_A_PICTURE``), nor an audio file
(whose cover is embedded, not the file's content). An opening that gives one flat colour from a file
that its decoder calls damaged, or that only a tolerant mode opens, is filling and no picture: it is
counted apart ("filled"). Both shares are printed. PyAV's first frame of a tiled AVIF is one tile, and
its bare mjpeg demuxer finds a JPEG inside a tar: both are counted as openings all the same. Ours:
state decoded or partial with a picture, or perceptual hashes of frames.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import os
import platform
import queue
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MEGAPIXELS = 100_000_000
# FFmpeg demuxers that take bytes without a signature, draw text, or are audio or subtitles.
NOT_A_PICTURE = frozenset(
    """
    tty ansi bin xbin idf adf rawvideo h261 h263 m4v cavsvideo data srt ass webvtt lrc mp3 flac wav ogg aac
    mp2 ac3 ape aiff au wv tta amr loas latm sbg ffmetadata txt lmlm4 dnxhd vc1 mjpeg_2000 codec2raw cdg sup
    hls concat sdp
    """.split()  # noqa: SIM905  a list of words
)

Opened = dict[str, object]


def flat(pixels: object) -> bool:
    """Whether an array holds one value a channel: nothing of a picture."""
    import numpy as np

    rows = np.asarray(pixels)
    rows = rows.reshape(-1, rows.shape[-1]) if rows.ndim == 3 else rows.reshape(-1, 1)
    return bool((rows == rows[:1]).all())


def with_pillow(tolerant: bool, data: bytes) -> Opened:
    from PIL import Image, ImageFile

    ImageFile.LOAD_TRUNCATED_IMAGES = tolerant
    if tolerant:
        Image.MAX_IMAGE_PIXELS = MEGAPIXELS
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        import numpy as np

        return {"as": image.format, "size": image.size, "flat": flat(np.asarray(image))}


def with_opencv(data: bytes) -> Opened:
    import cv2
    import numpy as np

    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        message = "None"
        raise ValueError(message)
    return {"as": "opencv", "size": pixels.shape[1::-1], "flat": flat(pixels)}


def with_simplejpeg(data: bytes) -> Opened:
    import simplejpeg

    if data[:2] != b"\xff\xd8":
        message = "no JPEG"
        raise ValueError(message)
    pixels = simplejpeg.decode_jpeg(data)
    return {"as": "JPEG", "size": pixels.shape[1::-1], "flat": flat(pixels)}


def with_pillow_heif(data: bytes) -> Opened:
    import numpy as np
    import pillow_heif

    if data[4:8] != b"ftyp":
        message = "no HEIF"
        raise ValueError(message)
    image = pillow_heif.open_heif(io.BytesIO(data))
    pixels = np.asarray(image)
    return {"as": "HEIF", "size": image.size, "flat": flat(pixels)}


def with_pyav(data: bytes) -> Opened:
    import av

    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        form = container.format.name
        for frame in container.decode(stream):
            pixels = frame.to_ndarray(format="rgb24")
            names = set(form.split(","))
            found = {"as": form, "codec": stream.codec_context.name, "size": (frame.width, frame.height)}
            return found | {"flat": flat(pixels), "corrupt": frame.is_corrupt, "text": bool(names & NOT_A_PICTURE)}
    message = "no frame"
    raise ValueError(message)


def with_ours(data: bytes) -> Opened:
    from caid_triage.examine.examine import Examiner

    run = Examiner().begin("", len(data))
    for start in range(0, len(data), 1 << 20):
        run.update(data[start : start + (1 << 20)])
    found = run.finish()
    framed = any(item.frame_time is not None for item in found.hashes)
    return {
        "as": found.media_type,
        "kind": str(found.kind),
        "state": str(found.decode_state),
        "size": (found.width, found.height),
        "codes": [item.code for item in found.problems],
        "detail": [item.detail for item in found.problems][:1],
        "digests": found.digests is not None,
        "opened": str(found.decode_state) in ("decoded", "partial") or framed,
    }


DECODERS: dict[str, Callable[[bytes], Opened]] = {
    "pillow": lambda data: with_pillow(False, data),
    "pillow tolerant": lambda data: with_pillow(True, data),
    "opencv": with_opencv,
    "simplejpeg": with_simplejpeg,
    "pillow-heif": with_pillow_heif,
    "pyav": with_pyav,
    "ours": with_ours,
}
# A tolerant decoder fills what is missing; what the strict ones open is whole by their word.
TOLERANT = ("pillow tolerant", "pyav")


def child(name: str, memory: int) -> None:
    """Open the files named on standard input with one decoder; a JSON line each."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    import warnings

    warnings.simplefilter("ignore")
    decoder = DECODERS[name]
    if name == "ours":
        from caid_triage.examine.examine import prepare_decoders

        prepare_decoders()
    if name == "pyav":
        import av

        av.logging.set_level(None)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        data = Path(line.rstrip("\n")).read_bytes()
        started, wall = time.process_time(), time.perf_counter()
        try:
            found = {"opened": True} | decoder(data)
        except Exception as error:  # noqa: BLE001  a decoder may raise anything
            found = {"opened": False, "error": f"{type(error).__name__}: {error}"[:160]}
        found["cpu_s"] = round(time.process_time() - started, 3)
        found["wall_s"] = round(time.perf_counter() - wall, 3)
        answers.write(json.dumps(found, default=str) + "\n")
        answers.flush()


class Supervised:
    """One decoder's child, started again after it was killed."""

    def __init__(self, name: str, memory: int, deadline: float) -> None:
        self.command = [sys.executable, str(Path(__file__).resolve()), "--child", name, "--memory", str(memory)]
        self.deadline = deadline
        self.process: subprocess.Popen[str] | None = None

    def _start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OPENBLAS_NUM_THREADS": "1"}
        environment |= {"OPENCV_LOG_LEVEL": "SILENT"}
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self.command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        self.lines: queue.Queue[str] = queue.Queue()

        def read(lines: queue.Queue[str] = self.lines) -> None:
            for line in process.stdout or ():
                lines.put(line)
            lines.put("")

        threading.Thread(target=read, daemon=True).start()
        if self.lines.get(timeout=120) != "ready\n":
            message = f"the child did not start: {self.command}"
            raise RuntimeError(message)
        self.process = process
        return process

    def open(self, path: Path) -> Opened:
        process = self.process or self._start()
        assert process.stdin
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        try:
            line = self.lines.get(timeout=self.deadline)
        except queue.Empty:
            self.close()
            return {"opened": False, "error": "hang", "cpu_s": self.deadline, "wall_s": self.deadline}
        if line:
            found: Opened = json.loads(line)
            return found
        self.close()
        return {"opened": False, "error": "crash", "cpu_s": 0.0, "wall_s": 0.0}

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def files_of(corpus: Path, folder: Path) -> list[tuple[str, Path]]:
    """The corpus's files and their names in it; an archive is laid out in ``folder`` under numbers."""
    if corpus.is_dir():
        return [(str(path.relative_to(corpus)), path) for path in sorted(corpus.rglob("*")) if path.is_file()]
    found = []
    with tarfile.open(corpus) as archive:
        for number, member in enumerate(archive):
            content = archive.extractfile(member) if member.isfile() else None
            if content:
                path = folder / str(number)
                path.write_bytes(content.read())
                found.append((member.name, path))
    return sorted(found)


def outcome(found: Opened) -> str:
    """One word for what a decoder did with a file."""
    error = str(found.get("error", ""))
    if found["opened"]:
        return "text or bare bytes" if found.get("text") else "opened"
    if error in ("hang", "crash"):
        return error
    if "MemoryError" in error or "Insufficient memory" in error:
        return "out of memory"
    return "refused" if "Bomb" in error else "error"


def picture_of(answers: dict[str, Opened]) -> tuple[list[str], list[str]]:
    """The single decoders that open a file as a picture, and those that only filled it with one colour."""
    opened = [name for name, found in answers.items() if name != "ours" and outcome(found) == "opened"]
    strict = [name for name in opened if name not in TOLERANT]
    filled = [name for name in opened if not strict and answers[name].get("flat")]
    return opened, filled


def summary(rows: dict[str, dict[str, Opened]]) -> dict[str, object]:
    """Opened by any, by ours, the share, and what ours misses."""
    decoders: dict[str, object] = {}
    names = next(iter(rows.values())).keys() if rows else ()
    for name in names:
        found = [answers[name] for answers in rows.values()]
        slow = max(found, key=lambda one: float(str(one["cpu_s"])))
        decoders[name] = {
            **Counter(outcome(one) for one in found),
            "slowest_cpu_s": slow["cpu_s"],
            "cpu_s": round(sum(float(str(one["cpu_s"])) for one in found), 1),
        }
        if name == "ours":
            decoders["ours, states"] = Counter(str(one.get("state", one.get("error"))) for one in found)
            decoders["ours, without digests"] = sum(not one.get("digests") for one in found)
    shares: dict[str, object] = {}
    missed: dict[str, list[str]] = {}
    for label in ("pictures", "pictures and filled"):
        wanted = ours = 0
        for file, answers in rows.items():
            opened, filled = picture_of(answers)
            if not (opened if label == "pictures and filled" else [name for name in opened if name not in filled]):
                continue
            wanted += 1
            mine = answers.get("ours", {"opened": False})
            if mine["opened"]:
                ours += 1
                continue
            why = f"{mine.get('kind')} {mine.get('as')} {mine.get('state', mine.get('error'))} {mine.get('codes')}"
            by = ", ".join(f"{name} as {answers[name].get('as')}" for name in opened)
            if label == "pictures":
                missed.setdefault(why, []).append(f"{file} ({by})")
        shares[label] = {"opened by any": wanted, "of these by ours": ours, "share": round(ours / max(wanted, 1), 4)}
    only = sum(bool(answers.get("ours", {}).get("opened")) and not picture_of(answers)[0] for answers in rows.values())
    return {"decoders": decoders, "shares": shares, "opened by ours alone": only, "missed by ours": missed}


def versions() -> dict[str, str]:
    """The versions of what was compared."""
    found = {"python": platform.python_version()}
    for name in ("pillow", "opencv-python-headless", "simplejpeg", "pillow-heif", "av", "imagecodecs", "rawpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--deadline", type=float, default=30.0)
    parser.add_argument("--memory", type=int, default=3 << 30)
    parser.add_argument("--only", nargs="*", default=list(DECODERS), choices=list(DECODERS))
    parser.add_argument("--raw", type=Path, help="keep every answer of every decoder here (JSON, or .xz of it)")
    parser.add_argument("--join", type=Path, help="take the answers of decoders that are not run now from here")
    parser.add_argument("--child", choices=list(DECODERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.memory)
        return
    rows: dict[str, dict[str, Opened]] = {}
    if options.join:
        text = options.join.read_bytes()
        rows = json.loads(lzma.decompress(text) if options.join.suffix == ".xz" else text)
    with tempfile.TemporaryDirectory() as folder:
        files = files_of(options.corpus, Path(folder))
        for name in options.only:
            supervised = Supervised(name, options.memory, options.deadline)
            for file, path in files:
                rows.setdefault(file, {})[name] = supervised.open(path)
            supervised.close()
    if options.raw:
        text = json.dumps(rows, sort_keys=True).encode()
        options.raw.write_bytes(lzma.compress(text) if options.raw.suffix == ".xz" else text)
    result = {"files": len(rows), "deadline_s": options.deadline, "memory": options.memory, "versions": versions()}
    json.dump(result | summary(rows), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
