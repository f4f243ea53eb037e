"""How the perceptual hashes of a record are named: which algorithm, of which look of the file.

A picture is hashed as it is stored and, where it has them, in further looks: those are tried on the query side
only, so that a known picture is found again inside a screenshot, a border or another tool's convention. The names
are stored in the case and travel between the processes; they are parsed here and nowhere else.

    pdq                 the stored pixels
    pdq-turned          the same in the seven other orientations, end to end
    pdq-512             the picture brought to 512 pixels first, as Meta's C++ tool does
    pdq-trimmed-turned  without uniform borders and bars, in the seven other orientations
    pdq-crop10          as if a tenth of its sides had been cropped off (caid_triage/examine/recut.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# Lengths in bytes of one hash of each algorithm that this tool knows.
HASH_BYTES: Mapping[str, int] = MappingProxyType({"pdq": 32, "phash": 8, "photodna": 144})

# The looks beside the stored pixels, and the words of a report for them.
LOOKS: Mapping[str, str] = MappingProxyType(
    {
        "levels": "at full contrast",
        "512": "brought to 512 pixels",
        "trimmed": "without its borders",
        "screenshot": "without the bars of a screen",
        "bars": "without the ground around it",
        "window": "without the edges of a window",
        "letterbox": "without the bars at two of its sides",
        "thumbnail": "its embedded thumbnail",
        "crop5": "as if 5% had been cropped",
        "crop10": "as if 10% had been cropped",
        "crop20": "as if 20% had been cropped",
        "top10": "as if the top 10% had been cropped",
        "bottom10": "as if the bottom 10% had been cropped",
        "left10": "as if the left 10% had been cropped",
        "right10": "as if the right 10% had been cropped",
        "tilt2": "turned back by 2 degrees",
        "tilt2b": "turned back by 2 degrees the other way",
        "tilt5": "turned back by 5 degrees",
        "tilt5b": "turned back by 5 degrees the other way",
    }
)
ORIENTATIONS = 8
_TURNED = "turned"


@dataclass(frozen=True, slots=True)
class HashName:
    """What the name of a stored perceptual hash says.

    ``look`` is "" for the stored pixels or one of LOOKS; ``turned`` means seven hashes end to end.
    """

    algorithm: str
    look: str = ""
    turned: bool = False

    @property
    def text(self) -> str:
        """The name as it is stored."""
        return "-".join(part for part in (self.algorithm, self.look, _TURNED if self.turned else "") if part)

    @property
    def hashes(self) -> int:
        """How many hashes a value of this name holds."""
        return ORIENTATIONS - 1 if self.turned else 1

    @property
    def length(self) -> int | None:
        """The bytes of a value, None where the algorithm is a plug-in's own."""
        one = HASH_BYTES.get(self.algorithm)
        return None if one is None else one * self.hashes


def hash_name(text: str) -> HashName:
    """What a stored name means. A name that is none of ours is an algorithm of a plug-in, whatever its form."""
    algorithm, *parts = text.split("-")
    if algorithm not in HASH_BYTES:
        return HashName(text)
    turned = bool(parts) and parts[-1] == _TURNED
    look = "-".join(parts[:-1] if turned else parts)
    return HashName(algorithm, look, turned) if not look or look in LOOKS else HashName(text)
