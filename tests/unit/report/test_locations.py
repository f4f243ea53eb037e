"""Places by path: each rule fits what it is made for, narrow ones win over wide ones; no words assert possession."""

from __future__ import annotations

import pytest

from caid_triage.locations import REACHES, location_of, location_rules, rules_from
from caid_triage.model import State
from caid_triage.report.locations import accessibility, location_counts

EXAMPLES = {
    "/$Recycle.Bin/S-1-5-21-1/$R1.jpg": "recycle-bin",
    "/Users/a/AppData/Local/Microsoft/Windows/Explorer/thumbcache_256.db//1122": "thumbnails",
    "/Users/a/Pictures/Thumbs.db//256_1": "thumbnails",
    "/Users/a/AppData/Local/Google/Chrome/User Data/Default/Cache/Cache_Data/f_000001": "browser-cache",
    "/Users/a/AppData/Local/Mozilla/Firefox/Profiles/x.default/cache2/entries/AA": "browser-cache",
    "/Users/a/AppData/Local/Microsoft/Windows/INetCache/IE/AB/p[1].jpg": "browser-cache",
    "/data/data/com.whatsapp/files/p.jpg": "chat",
    "/storage/emulated/0/WhatsApp/Media/WhatsApp Images/IMG.jpg": "chat",
    "/Users/a/eMule/Incoming/x.avi": "file-sharing",
    "/Users/a/Desktop/Tor Browser/Browser/x.jpg": "darknet",
    "/Users/a/OneDrive/Pictures/x.jpg": "cloud",
    "/Users/a/AppData/Roaming/Apple Computer/MobileSync/Backup/00/aa": "backup",
    "/Users/a/Documents/mail.pst//folder/message-1/p.jpg": "mail",
    "/DCIM/100CANON/IMG_0001.JPG": "camera",
    "/Users/a/Downloads/x.jpg": "downloads",
    "/System Volume Information/x": "restore-point",
    "/pagefile.sys": "swap",
    "/Users/a/AppData/Local/Temp/x.jpg": "temporary",
    "/Users/a/AppData/Roaming/Something/x.jpg": "program-data",
    "/Users/a/Pictures/x.jpg": "user-files",
    "/home/a/x.jpg": "user-files",
    "/Users/Public/Pictures/x.jpg": "shared-files",
    "/Windows/Web/Wallpaper/x.jpg": "system",
    "/$MFT": "system",
    "/pictures/x.jpg": "other",
}


@pytest.mark.parametrize(("path", "tag"), EXAMPLES.items())
def test_a_path_has_the_place_that_a_reader_would_give_it(path: str, tag: str) -> None:
    assert location_of(path).tag == tag


def test_every_rule_is_met_by_an_example_or_named_here() -> None:
    tags = {location.tag for location, _ in location_rules().rules}
    assert tags - set(EXAMPLES.values()) == {"browser-data", "vault"}
    assert all(location.reach in REACHES for location, _ in location_rules().rules)


@pytest.mark.parametrize("state", list(State))
def test_words_state_how_a_file_could_be_reached_and_never_who_had_it(state: State) -> None:
    for path in EXAMPLES:
        words = accessibility(state, location_of(path))
        assert words
        assert not any(word in words for word in ("possess", "belong", "owner", "knew"))
    deleted = state in (State.DELETED, State.ORPHAN, State.CARVED, State.SLACK)
    assert ("not reachable" in accessibility(state, location_of("/Users/a/Pictures/x.jpg"))) is deleted


def test_counts_are_by_place_the_most_frequent_first() -> None:
    downloads = "/Users/a/Downloads"
    places = [(f"{downloads}/1.jpg", downloads, State.ALLOCATED, False)] * 2
    places += [(f"{downloads}/2.jpg", downloads, State.DELETED, False), ("/x/3.jpg", "/x", State.ALLOCATED, False)]
    places += [(f"{downloads}/4.zip//{name}", downloads, State.EMBEDDED, name == "a.jpg") for name in ("a.jpg", "b")]
    rows = location_counts(places)
    assert [(row.location.tag, row.files, row.live, row.inside, row.example) for row in rows] == [
        ("downloads", 5, 2, 1, downloads),
        ("other", 1, 1, 0, "/x"),
    ]


@pytest.mark.parametrize("container", list(State))
@pytest.mark.parametrize("removed", [False, True])
def test_what_lies_inside_a_file_is_reached_through_it(container: State, removed: bool) -> None:
    place = location_of("/Users/a/Downloads/a.zip//b.jpg")
    words = accessibility(State.EMBEDDED, place, container, removed=removed)
    reached = container not in (State.DELETED, State.ORPHAN, State.CARVED, State.SLACK) and not removed
    assert ("not reachable" in words) is not reached
    assert ("live, in an ordinary folder" in words) is reached
    assert "live" not in accessibility(State.EMBEDDED, place)  # nothing is known of the container


@pytest.mark.parametrize(
    "text",
    [
        "version = '1'",
        "[[rule]]\ntag='a'\nwords='b'\nreach='user'\npatterns=['x']",
        "version='1'\n[[rule]]\ntag='a'\nwords='b'\nreach='far'\npatterns=['x']",
        "version='1'\n[[rule]]\ntag='a'\nwords='b'\nreach='user'\npatterns=['(']",
    ],
)
def test_rules_that_are_wrong_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rule"):
        rules_from(text)
