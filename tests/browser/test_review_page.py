"""The review page in a real browser, by keys alone: opened, filtered, graded, undone, a million items to the last."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.fake_desk import GROUP, FakeDesk, name_of
from unit.review.conftest import setting

from caid_triage.model import Category
from caid_triage.review.server import Review
from caid_triage.review.serving import Serving
from caid_triage.review.sitting import Tally

MANY = 1_000_000
BLOCK = 48  # listing.js asks for so many items at once
PATIENCE = 60.0
MOST_ELEMENTS = 900  # in the whole page; a list of a million has some 400
CATEGORY_C = Category("3", "Category C", "uk", 30)


class Session:
    """A served review, its page in a browser, and everything that page said, asked for and was refused."""

    def __init__(self, browser: Any, desk: FakeDesk, **context: Any) -> None:
        changes = context.pop("setting", {})
        size = context.pop("size", {"width": 1280, "height": 900})
        self.desk = desk
        told = setting(scanning=lambda: desk.scanning, **changes)
        self.serving = Serving(lambda port, end: Review(desk, told, port, end), 0)
        self._thread = threading.Thread(target=self.serving.run)
        self._thread.start()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(viewport=size, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(self.serving.review.guard.address)
        self.page.wait_for_selector("#queues button")

    def _heard(self, message: Any) -> None:
        # Chromium asks for a tab's icon again whenever it likes: also when the session has ended and nobody answers.
        if not (message.location or {}).get("url", "").endswith("/static/icon.svg"):
            self.said.append(message.text)

    @property
    def tally(self) -> Tally:
        return self.serving.review.tally

    @property
    def origin(self) -> str:
        return self.serving.review.guard.address.partition("/enter")[0]

    def close(self) -> None:
        self.context.close()
        if self.serving._server is not None:
            self.serving._stop()
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self.said == []
        assert self.strange() == []

    def strange(self) -> list[str]:
        """What was asked of anybody else."""
        return [url for url in self.asked if not url.startswith((self.origin + "/", "about:blank"))]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def queue(self, name: str) -> None:
        self.page.click(f"[data-queue={name}]")
        self.until(f"location.hash.includes('queue={name}')")
        self.until(lambda: self.place() != "Counting…")  # until then the details are those of the list before
        self.settled()

    def reopened_after(self, seconds: float) -> None:
        """Open the page again as after so many seconds of looking."""
        self.page.evaluate(
            f"sessionStorage.setItem('seconds', '{seconds}');"
            "Storage.prototype.setItem = () => {}"  # the clock of the page that goes writes its own each second
        )
        self.page.reload()

    def settled(self) -> None:
        """Wait until the chosen item is there, or that there is none is said: before, keys are not listened to."""
        self.until("document.querySelector('#details .large') !== null || !document.getElementById('empty').hidden")

    def until(self, true: Callable[[], bool] | str, words: str = "") -> None:
        """Wait for something. Not as the browser waits: that evaluates strings, which the page's policy forbids."""
        given_up = time.monotonic() + PATIENCE
        while not (self.page.evaluate(true) if isinstance(true, str) else true()):
            assert time.monotonic() < given_up, f"waited in vain: {words or true}; at {self.place()}"
            self.page.wait_for_timeout(20)  # no mere sleep: meanwhile what the browser tells is heard

    def place(self) -> str:
        return str(self.page.inner_text("#place"))

    def chosen(self) -> str:
        return str(self.page.inner_text("#details h2"))

    def wait_place(self, words: str) -> None:
        self.until(lambda: self.place() == words, words)
        self.settled()


@pytest.fixture(scope="module")
def shared(browser: Any) -> Iterator[Session]:
    session = Session(browser, FakeDesk(400))
    yield session
    session.close()


@pytest.fixture
def session(shared: Session) -> Iterator[Session]:
    """A session with nothing graded, opened anew."""
    shared.desk.forget()
    shared.page.evaluate("sessionStorage.clear()")
    shared.page.goto("about:blank")
    shared.page.goto(shared.origin + "/")
    shared.page.wait_for_selector("#queues button")
    shared.until("document.body.dataset.ready === 'yes'")
    shared.settled()
    yield shared
    assert shared.said == []
    assert shared.strange() == []


@pytest.fixture(scope="module")
def many(browser: Any) -> Iterator[Session]:
    session = Session(browser, FakeDesk(MANY))
    session.queue("new")
    yield session
    session.close()


# ---------------------------------------------------------------- a million


def elements(session: Session) -> int:
    return int(session.page.evaluate("document.querySelectorAll('*').length"))


def test_the_last_item_of_a_million_is_reached_and_shown(many: Session) -> None:
    many.page.focus("#grid")
    many.press("End")
    many.wait_place("Item 1,000,000 of 1,000,000")
    assert many.chosen() == name_of(MANY - 1)
    cell = many.page.locator(f"#cell-{MANY - 1}")
    box, grid = cell.bounding_box(), many.page.locator("#grid").bounding_box()
    assert grid["y"] <= box["y"]
    assert box["y"] + box["height"] <= grid["y"] + grid["height"] + 1
    assert cell.get_attribute("aria-selected") == "true"
    assert many.page.get_attribute("#grid", "aria-activedescendant") == f"cell-{MANY - 1}"
    assert elements(many) < MOST_ELEMENTS
    assert many.page.evaluate("document.querySelector('.spacer').offsetHeight") <= 10_000_000


def test_keys_page_exactly(many: Session) -> None:
    many.page.focus("#grid")
    many.press("Home")
    many.wait_place("Item 1 of 1,000,000")
    columns = int(many.page.get_attribute("#grid", "aria-colcount"))
    rows = many.page.evaluate("Math.floor(document.getElementById('grid').clientHeight / 176)")
    many.press("PageDown")
    at = columns * rows
    many.wait_place(f"Item {at + 1:,} of 1,000,000")
    many.press("ArrowDown", "ArrowRight", "ArrowRight", "ArrowLeft")
    at += columns + 1
    many.wait_place(f"Item {at + 1:,} of 1,000,000")
    assert many.chosen() == name_of(at)
    many.press("PageUp", "PageUp", "PageUp", "ArrowUp", "ArrowLeft")
    many.wait_place("Item 1 of 1,000,000")
    many.press("End", "ArrowRight", "ArrowDown", "PageDown")
    many.wait_place("Item 1,000,000 of 1,000,000")


def test_ctrl_g_goes_to_a_number(many: Session) -> None:
    for number in (777_777, 499_999, 1_000_000, 2):
        many.page.focus("#grid")
        many.press("Control+g")
        many.page.keyboard.type(str(number))
        many.press("Enter")
        many.wait_place(f"Item {number:,} of 1,000,000")
        assert many.chosen() == name_of(number - 1) or number == 2
        many.until(f"location.hash.includes('at={number - 1}')")


def test_every_row_of_a_stretch_is_met_by_the_wheel_once_and_in_order(many: Session) -> None:
    """The scroll bar is coarser than a row; the wheel is not."""
    many.page.focus("#grid")
    many.press("Control+g")
    many.page.keyboard.type("600000")
    many.press("Enter")
    many.wait_place("Item 600,000 of 1,000,000")
    box = many.page.locator("#grid").bounding_box()
    many.page.mouse.move(box["x"] + 50, box["y"] + 50)
    rows = "Math.min(...[...document.querySelectorAll('#grid .row')].map(row => Number(row.ariaRowIndex)))"
    before = many.page.evaluate(rows)
    seen = []
    for _ in range(6):
        many.page.mouse.wheel(0, 176)
        many.page.wait_for_timeout(60)
        seen.append(many.page.evaluate(rows) - before)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_the_scroll_bar_goes_from_the_first_to_the_last(many: Session) -> None:
    drag = "share => { grid.scrollTop = share * (grid.scrollHeight - grid.clientHeight); }"
    many.page.evaluate(drag, 1)
    many.page.wait_for_selector(f"#cell-{MANY - 1}[data-empty=no]")
    many.page.evaluate(drag, 0.5)
    many.until("Math.abs(Number(document.querySelector('#grid .cell').dataset.position) - 500000) < 100")
    many.page.evaluate(drag, 0)
    many.page.wait_for_selector("#cell-0[data-empty=no]")
    assert elements(many) < MOST_ELEMENTS


def test_what_is_scrolled_past_is_not_fetched(many: Session) -> None:
    many.asked.clear()
    rests = many.page.evaluate(
        """async () => {
            let rests = 0;
            let last = performance.now();
            for (let step = 0; step < 80; step += 1) {
                grid.scrollTop = (0.2 + step / 1000) * (grid.scrollHeight - grid.clientHeight);
                await new Promise(requestAnimationFrame);
                if (performance.now() - last > 50) rests += 1;
                last = performance.now();
            }
            return rests;
        }"""
    )
    many.until("document.querySelector('#grid .cell[data-empty=no]') !== null")
    many.until("document.querySelector('#grid .cell[data-empty=yes]') === null")
    # Where a busy machine let the bar rest on its way it may ask: for up to three blocks each time.
    assert 0 < len([url for url in many.asked if "/api/items" in url]) <= 3 * (rests + 2) < 3 * 80


# ---------------------------------------------------------------- the page


def test_it_opens_on_what_is_to_be_done_with_no_picture(session: Session) -> None:
    assert session.page.inner_text("#list-title") == "Known material to confirm"
    assert session.place() == "Item 1 of 60"
    assert session.page.locator("canvas, img, video").count() == 0
    assert session.desk.drawn == 0
    assert "token" not in session.page.url
    assert session.page.evaluate("document.cookie") == ""
    assert session.page.evaluate("document.activeElement.id") == "grid"


def test_hostile_names_are_text_and_do_nothing(session: Session) -> None:
    session.queue("new")
    names = session.page.locator("#grid .name bdi").all_inner_texts()
    assert names[0] == "script>.jpg" or "<script>" in names[0]
    assert "annexe\\u{202e}gpj.exe" in names
    assert session.page.evaluate("window.hacked") is None
    assert session.page.locator("#grid script, #grid img").count() == 0
    assert session.page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_an_item_is_graded_by_a_key_and_the_next_is_chosen(session: Session) -> None:
    session.press("2")
    session.wait_place("Item 2 of 60")
    (grade,) = session.desk.grades_of(0)
    assert grade.category == Category("2", "Category B", "uk", 40)
    assert grade.examiner == "DC Larch"
    assert session.page.inner_text("#cell-0 .grade") == "✓ Category B"
    assert "Category B" in session.page.inner_text("#said")
    session.press("Control+z")
    session.wait_place("Item 1 of 60")
    assert session.desk.grades_of(0) == []
    assert session.page.inner_text("#cell-0 .grade") == ""
    assert session.page.inner_text("#last") == "Grade taken back."


def test_keys_of_grades_grade_nothing_while_somebody_types(session: Session) -> None:
    session.press("/")
    session.page.keyboard.type("123abc")
    session.press("Control+z")
    assert session.page.evaluate("document.activeElement.id") == "filter-text"
    assert session.desk._acts == []


def test_a_held_key_grades_one_item(session: Session) -> None:
    session.page.keyboard.down("1")
    for _ in range(5):
        session.page.keyboard.down("1")  # what a keyboard repeats
    session.page.keyboard.up("1")
    session.wait_place("Item 2 of 60")
    assert len(session.desk._acts) == 1


@contextmanager
def held(session: Session, path: str) -> Iterator[list[Any]]:
    """Requests of a path wait until this ends, as on a slow machine."""
    waiting: list[Any] = []

    def wait(route: Any) -> None:
        waiting.append(route)

    session.page.route(f"**{path}*", wait)
    try:
        yield waiting
    finally:
        for route in waiting:
            route.continue_()
        session.page.unroute(f"**{path}*", wait)


@contextmanager
def stored_slowly(session: Session) -> Iterator[list[Any]]:
    """Grades wait in the desk until this ends. Not in the browser: the first request may slip past a new route."""
    waiting: list[Any] = []
    go, decide = threading.Event(), session.desk.decide

    def decide_slowly(*asked: Any, **more: Any) -> int:
        waiting.append(asked)
        go.wait(PATIENCE)
        return decide(*asked, **more)

    session.desk.decide = decide_slowly  # type: ignore[method-assign]
    try:
        yield waiting
    finally:
        go.set()
        session.desk.decide = decide  # type: ignore[method-assign]


def last(session: Session) -> str:
    return str(session.page.inner_text("#last"))


def test_a_key_that_comes_while_the_page_is_set_up_says_that_it_was_not_taken(session: Session) -> None:
    with held(session, "/api/start") as waiting:
        session.page.reload()
        assert session.place() == "Setting up: keys are not taken yet…"
        session.until(lambda: len(waiting) == 1)
        session.press("Shift", "Tab")
        assert last(session) == ""
        session.press("1")
        assert last(session) == "Key not taken: the page is still being set up."
        assert session.page.inner_text("#said") == last(session)
    session.until("document.body.dataset.ready === 'yes'")
    session.settled()
    assert session.desk._acts == []
    session.press("1")
    session.wait_place("Item 2 of 60")
    assert last(session) == "Item 1: Category A (code 1)"


def test_no_item_is_graded_before_it_is_shown(session: Session) -> None:
    with held(session, "/api/items") as waiting:
        session.page.click("[data-queue=new]")
        session.until(lambda: len(waiting) >= 1)
        session.until("document.activeElement.id === 'grid'")
        session.press("1")
        assert last(session) == "Key not taken: no item is shown yet, nothing was graded."
    session.wait_place("Item 1 of 400")
    assert session.desk._acts == []


def test_a_second_key_while_a_grade_is_stored_says_that_it_was_not_taken(session: Session) -> None:
    with stored_slowly(session) as waiting:
        session.press("1", "2")
        session.until(lambda: len(waiting) == 1)
        assert last(session) == "Key not taken: what was asked before is still being stored."
        assert session.place() == "Item 1 of 60"
    session.wait_place("Item 2 of 60")
    assert [len(session.desk.grades_of(number)) for number in range(3)] == [1, 0, 0]
    assert last(session) == "Item 1: Category A (code 1)"
    assert "warn" not in (session.page.get_attribute("#last", "class") or "")


def test_a_picture_that_has_not_come_yet_was_not_seen(session: Session) -> None:
    session.tally.revealed.clear()
    with held(session, "/api/thumbnail") as waiting:
        session.press("F8")
        session.until(lambda: len(waiting) >= 1)
        session.page.keyboard.down("Shift")
        session.page.keyboard.down(" ")
        assert session.page.inner_text("#viewed") == "0"
    session.page.wait_for_selector("#cell-3 canvas")
    session.until("document.getElementById('viewed').textContent !== '0'")  # it came while the key was held
    session.page.keyboard.up(" ")
    session.page.keyboard.up("Shift")
    session.until(lambda: 4 in session.tally.revealed)
    assert session.tally.revealed <= session.tally.shown


def test_all_that_is_seen_while_the_key_is_held_is_counted_and_told(session: Session) -> None:
    """Holding the key and going on with the arrows shows one picture after the other without its blur."""
    session.tally.revealed.clear()
    session.press("F8")
    session.page.wait_for_selector("#details canvas")
    session.page.keyboard.down(" ")
    for number in (2, 3):
        session.press("ArrowRight")
        session.wait_place(f"Item {number} of 60")
        session.page.wait_for_selector("#details canvas")
    session.page.keyboard.up(" ")
    session.press("ArrowRight")
    session.wait_place("Item 4 of 60")
    session.page.wait_for_selector("#details canvas")
    assert session.page.inner_text("#viewed") == "3"
    session.until(lambda: session.tally.revealed == {1, 2, 3})
    assert session.tally.revealed <= session.tally.shown


def test_grading_what_is_not_graded_passes_no_item_over(session: Session) -> None:
    """Items leave the list as they are graded; none of those behind them is missed."""
    session.queue("new")
    session.page.select_option("#filter-decided", "no")
    session.wait_place("Item 1 of 400")
    session.page.focus("#grid")
    for number in range(12):
        session.press("0")
        session.wait_place(f"Item {number + 2} of 400")
    session.press("Control+g")
    session.page.keyboard.type(str(BLOCK + 1))
    session.press("Enter")
    session.page.wait_for_selector(
        f"#cell-{BLOCK}[data-empty=no]"
    )  # it was not asked for before the twelve were graded
    assert session.page.inner_text(f"#cell-{BLOCK} .name") == name_of(BLOCK)
    assert [len(session.desk.grades_of(number)) for number in range(14)] == [1] * 12 + [0] * 2
    session.press("End")  # a jump: the list is opened anew first
    session.wait_place("Item 388 of 388")
    assert session.chosen() == name_of(399)


def test_filters_are_in_the_address_and_back_goes_back(session: Session) -> None:
    session.queue("new")
    session.page.select_option("#filter-state", "deleted")
    session.wait_place("Item 1 of 100")
    session.page.fill("#filter-text", "IMG_000001")
    session.press("Enter")
    session.wait_place("Item 1 of 2")
    assert "state=deleted" in session.page.url
    assert "text=IMG_000001" in session.page.url
    session.page.go_back()
    session.wait_place("Item 1 of 100")
    assert session.page.input_value("#filter-text") == ""
    session.page.go_back()
    session.wait_place("Item 1 of 400")
    session.page.go_forward()
    session.wait_place("Item 1 of 100")
    assert [url for url in session.asked if "#" in url] == []
    session.page.reload()
    session.wait_place("Item 1 of 100")


def test_nothing_that_fits_is_said(session: Session) -> None:
    session.page.fill("#filter-text", "nowhere")
    session.press("Enter")
    session.page.wait_for_selector("#empty:not([hidden])")
    assert session.page.is_hidden("#grid")
    session.page.click("#filter-clear")
    session.wait_place("Item 1 of 60")


def test_a_note_is_kept_beside_the_item(session: Session) -> None:
    session.press("F2")
    session.page.keyboard.type("blue folder 1")
    session.press("Tab", "Enter")
    session.until("document.querySelector('.remark')?.textContent.startsWith('blue folder 1')")
    assert session.desk._acts == []
    session.press("1")
    session.wait_place("Item 2 of 60")


def test_a_group_is_looked_into_and_graded_after_its_count_was_said(session: Session) -> None:
    session.queue("new")
    session.page.focus("#grid")
    session.press("Control+g")
    session.page.keyboard.type("13")
    session.press("Enter")
    session.wait_place("Item 13 of 400")
    session.press("Enter")
    session.wait_place(f"Item 1 of {GROUP}")
    session.press("F4")
    session.page.click("#group-choices button:has-text('Category C (code 3)')")
    assert session.page.inner_text("#group-words").startswith("Grade 5 contents, not looked at one by one")
    assert session.desk._acts == []
    assert session.page.evaluate("document.activeElement.textContent") == "No"
    session.press("Shift+Tab", "Enter")
    session.until("document.getElementById('last').textContent.startsWith('5 contents graded')")
    assert [len(session.desk.grades_of(number)) for number in range(9, 16)] == [0, 1, 1, 1, 1, 1, 0]
    session.page.focus("#grid")
    session.press("Control+z")
    session.until("document.getElementById('last').textContent === '5 grades taken back.'")
    session.page.go_back()
    session.wait_place("Item 13 of 400")


def test_another_s_grade_is_seen_after_one_s_own(session: Session) -> None:
    session.desk.decide([1], CATEGORY_C, "DS Elm")
    session.page.reload()
    session.settled()
    assert "DS Elm" not in session.page.content()
    session.press("1")
    session.wait_place("Item 2 of 60")
    session.press("Home")
    session.wait_place("Item 1 of 60")
    words = session.page.inner_text("#details")
    assert "Grade of DS Elm" in words
    assert "Graded differently" in words


def test_a_failure_to_store_is_said_and_the_item_stays(session: Session) -> None:
    from caid_triage.errors import CaseError

    session.desk.fault = CaseError("the disk of the case is full")
    session.press("1")
    session.page.wait_for_selector("#complaint:not([hidden])")
    assert "the disk of the case is full" in session.page.inner_text("#complaint")
    assert session.place() == "Item 1 of 60"
    session.said.clear()  # the browser notes that a request was refused
    session.desk.fault = None
    session.press("1")
    session.wait_place("Item 2 of 60")
    assert session.page.is_hidden("#complaint")


# ---------------------------------------------------------------- welfare


def filters(session: Session, selector: str) -> list[str]:
    return list(
        session.page.evaluate(
            "selector => [...document.querySelectorAll(selector)].map(c => getComputedStyle(c).filter)", selector
        )
    )


def test_pictures_are_blurred_and_grey_until_a_key_is_held(session: Session) -> None:
    session.press("F8")
    session.page.wait_for_selector("#details canvas")
    session.page.wait_for_selector("#cell-3 canvas")
    blurred = set(filters(session, "canvas"))
    assert blurred == {"grayscale(1) blur(14px)"}
    session.page.keyboard.down(" ")
    assert filters(session, "#details canvas") == ["grayscale(1)"]
    assert set(filters(session, "#grid canvas")) == blurred
    assert session.page.inner_text("#viewed") == "1"
    session.page.keyboard.up(" ")
    assert set(filters(session, "canvas")) == blurred
    session.page.keyboard.down("Shift")
    session.page.keyboard.down(" ")
    assert set(filters(session, "canvas")) == {"grayscale(1)"}
    session.page.evaluate("window.dispatchEvent(new Event('blur'))")  # the key is let go in another window
    assert set(filters(session, "canvas")) == blurred
    session.page.keyboard.up(" ")
    session.page.keyboard.up("Shift")
    assert session.page.locator("video, audio, img").count() == 0


def test_a_picture_that_cannot_be_had_is_said_in_words(session: Session) -> None:
    session.press("F8")
    session.until("document.querySelector('#cell-8 .no-picture')?.textContent.includes('not here')")


def test_esc_hides_all_and_pictures_stay_off(session: Session) -> None:
    session.press("F8")
    session.page.wait_for_selector("#cell-3 canvas")
    session.press("Escape")
    assert session.page.is_hidden("#page")
    assert session.page.locator("canvas").count() == 0
    session.until(lambda: session.desk.forgotten == 1)
    assert "IMG_" not in session.page.inner_text("body")
    assert "Larch" not in session.page.inner_text("body")
    session.press("1", "F8", " ")
    assert session.desk._acts == []
    session.page.wait_for_selector("#cell-3", timeout=5000)
    assert session.page.locator("canvas").count() == 0
    assert session.page.evaluate("document.activeElement.id") == "grid"


def test_behind_a_question_no_picture_is_seen(session: Session) -> None:
    session.press("F8")
    session.page.wait_for_selector("#cell-3 canvas")
    session.press("Control+g")
    assert session.page.evaluate("getComputedStyle(document.querySelector('canvas')).visibility") == "hidden"
    session.press("Escape")
    assert session.page.is_visible("#page")
    assert session.page.evaluate("getComputedStyle(document.querySelector('canvas')).visibility") == "visible"


def test_a_break_is_due_after_the_time_that_was_set(session: Session) -> None:
    session.reopened_after(1199.5)
    session.page.wait_for_selector("#break:not([hidden])")
    assert "20 minutes" in session.page.inner_text("#break")
    session.page.focus("#grid")
    session.press("1")  # it can be worked on
    session.wait_place("Item 2 of 60")
    session.page.click("#break-later")
    assert session.page.is_hidden("#break")
    assert session.page.inner_text("#next-break") == "in 5 min"


# ---------------------------------------------------------------- for everybody


def test_axe_finds_nothing_serious(session: Session) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")

    def serious() -> list[Any]:
        found = axe.Axe().run(session.page).response["violations"]
        return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found if one["impact"] != "minor"]

    session.press("F8")
    session.page.wait_for_selector("#cell-3 canvas")
    session.press("1")
    assert serious() == []
    session.press("?")
    assert serious() == []
    session.press("Escape")
    session.queue("damaged")
    assert serious() == []
    session.press("Escape")
    assert session.page.is_visible("#away")
    assert serious() == []


def test_everything_can_be_reached_by_the_tab_key(session: Session) -> None:
    reached = set()
    for _ in range(60):
        session.press("Tab")
        reached.add(session.page.evaluate("document.activeElement.id || document.activeElement.dataset.queue || ''"))
    needed = {
        "known",
        "new",
        "filter-text",
        "filter-state",
        "grid",
        "details",
        "pictures",
        "hide",
        "end",
        "goto",
        "note",
        "undo",
    }
    assert needed <= reached


def test_in_a_small_window_without_motion_and_reminders_it_can_be_used_and_ended(browser: Any) -> None:
    small: dict[str, Any] = {"size": {"width": 700, "height": 900}, "reduced_motion": "reduce"}
    session = Session(browser, FakeDesk(100), setting={"break_minutes": 0}, **small)
    session.reopened_after(99999)
    session.settled()
    session.until("time.textContent.startsWith('27:46:')")
    assert session.page.is_hidden("#break")
    assert session.page.inner_text("#next-break") == "none set"
    assert session.page.evaluate("document.documentElement.scrollWidth") <= 700
    moving = "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s').length"
    assert session.page.evaluate(moving) == 0
    session.press("1")
    session.wait_place("Item 2 of 60")
    session.page.click("#end")
    session.page.wait_for_selector("#away:not([hidden])")
    assert "The session has ended" in session.page.inner_text("#away")
    session.close()


# ---------------------------------------------------------------- the session


def test_figures_follow_a_scan_that_goes_on(session: Session) -> None:
    session.desk.scanning = True
    known = session.desk.order["known"]
    look = "document.dispatchEvent(new Event('visibilitychange'))"
    session.page.evaluate(look)
    session.page.wait_for_selector("#scanning:not([hidden])")
    session.desk.order["known"] = session.desk.order["new"][:69]
    session.page.evaluate(look)
    session.page.wait_for_selector("#stale:not([hidden])")
    assert session.place() == "Item 1 of 60"  # nothing moves under somebody's eyes
    session.page.click("#bring-up")
    session.wait_place("Item 1 of 69")
    session.desk.order["known"] = known
    session.desk.scanning = False


def test_another_browser_cannot_use_the_address(browser: Any, session: Session) -> None:
    stranger = browser.new_context()
    page = stranger.new_page()
    assert page.goto(session.origin + "/").status == 401
    assert page.goto(session.serving.review.guard.address).status == 403
    stranger.close()


def test_a_page_of_another_site_gets_nothing(browser: Any, session: Session) -> None:
    """A page that the same browser shows, with the session's cookie in the jar."""
    other = session.context.new_page()
    other.route("http://evil.example/**", lambda route: route.fulfill(body="<p>a page", content_type="text/html"))
    other.goto("http://evil.example/")
    read = "url => fetch(url, {credentials: 'include', mode: 'no-cors'}).then(r => r.type + r.status, e => 'failed')"
    send = read.replace("{cred", "{method: 'POST', body: '{}', cred")
    assert other.evaluate(read, session.origin + "/api/start") in ("failed", "opaque0")
    assert other.evaluate(send, session.origin + "/api/undo") in ("failed", "opaque")
    assert session.desk._acts == []
    frame = """url => new Promise(done => {
        const frame = document.createElement("iframe");
        frame.onload = () => done(frame.contentDocument);
        frame.src = url;
        document.body.append(frame);
    })"""
    assert other.evaluate(frame, session.origin + "/") is None
    other.close()
