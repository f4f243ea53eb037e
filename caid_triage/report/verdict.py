"""The answer of the page: whether known material was found, in words that never claim more than was examined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from caid_triage.case.rows import Conservation, TallyRow
from caid_triage.case.view import CaseView
from caid_triage.model import Role
from caid_triage.report.set_facts import HashSetFacts, hashset_facts, unconfirmed_any
from caid_triage.report.tables import CountTable, count_tables, tier_tables
from caid_triage.report.text import contents_of, files_of, number


class Outcome(StrEnum):
    """What an answer comes to, for who gathers the answers of many cases. Only ``NONE`` is a no, only ``FOUND`` a yes.

    ``UNCONFIRMED`` are listed files under a rank "not pertinent" that nobody has confirmed; of ``UNCOMPARED`` no hash
    set of known material was given; of ``SAMPLED`` no file was examined.
    """

    FOUND = "found"
    UNCONFIRMED = "listed, not confirmed"
    CONTRADICTED = "contradictions"
    LEADS = "leads"
    FRAGMENTS = "fragments"
    OPEN = "not complete"
    EMPTY = "no file"
    SAMPLED = "sampled only"
    UNCOMPARED = "nothing compared"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: what it comes to, a headline and a sentence."""

    outcome: Outcome
    headline: str
    sentence: str

    @property
    def word(self) -> str:
        """The answer in one word for the style of a page: "found", "leads" (somebody has to look) or "none"."""
        if self.outcome in (Outcome.SAMPLED, Outcome.UNCOMPARED, Outcome.NONE):
            return "none"
        return "found" if self.outcome is Outcome.FOUND else "leads"


def verdict(
    exact: CountTable,
    leads: CountTable,
    figures: Conservation,
    *,
    any_set: bool,
    unconfirmed: bool = False,
    contradicted: int = 0,
    far: int = 0,
    md5_alone: int = 0,
    disagreeing: int = 0,
    graded: int = 0,
    overruled: int = 0,
) -> Verdict:
    """Whether known material was found; the words never claim more than was examined.

    A category of severity 0 is one that its scheme ranks as not pertinent: such files do not make the answer a yes,
    and they are named, for the rank may be wrong (some codes have been published both ways round). From a scheme that
    nobody has confirmed they do not make it a no either. Nor does a file whose weaker digest is listed while a stronger
    one is not: the file may have been made so, or the entry may be wrong. ``far`` leads lie beyond the strong distance.
    ``md5_alone`` of the files that count agree in nothing stronger than MD5: they count, and that is said. So is that
    ``disagreeing`` of them are listed in categories that contradict each other, for each counts once, under its
    gravest; that a code which no scheme explains may mean anything; and that examiners have ``graded`` files,
    ``overruled`` of them otherwise than they are listed, for no figure here follows an examiner.
    """
    lead, ignorable = leads.total.cells["all"], exact.ignorable
    found = exact.total.cells["all"].files - ignorable.files
    lead_words = (
        f"{files_of(lead.files)} ({contents_of(lead.unique)}) only {_looks(lead.files)} like a listed item: "
        "a lead to check by eye, in no count."
    )
    if far:
        lead_words += f" {number(far)} of them {_is(far)} farther off than the strong distance: less sure."
    ignorable_words = (
        f"{files_of(ignorable.files)} {_is(ignorable.files)} identical to an item in a category that its scheme ranks "
        "as not pertinent."
    )
    contradicted_words = f"{files_of(contradicted)} with contradicting digests: see Contradictions."
    md5_words = f"{files_of(md5_alone)} by MD5 alone, which can be forged: see Matches."
    more = [_disagreeing_words(disagreeing)] * bool(disagreeing)
    more += [_unranked_words(exact.unranked.files, found)] * bool(exact.unranked.files)
    more += [md5_words] * bool(md5_alone) + [ignorable_words] * bool(ignorable.files)
    more += [f"A further {lead_words}"] * bool(lead.files)
    more += [contradicted_words] * bool(contradicted)
    if graded:
        answer = verdict(
            exact, leads, figures, any_set=any_set, unconfirmed=unconfirmed, contradicted=contradicted, far=far,
            md5_alone=md5_alone, disagreeing=disagreeing,
        )  # fmt: skip
        return replace(answer, sentence=f"{answer.sentence} {_graded_words(graded, overruled)}")
    stopped = [f"The scan was stopped early, after {files_of(figures.stored)}: there may be more."]
    stopped *= figures.stopped_early
    so_far = " so far" if stopped else ""
    if found:
        unique = exact.total.cells["all"].unique - ignorable.unique
        sentence = f"{files_of(found)} ({contents_of(unique)}) {_is(found)} identical to a listed item."
        return Verdict(Outcome.FOUND, "Known material found: YES", " ".join([sentence, *more, *stopped]))
    if not any_set:
        return Verdict(
            Outcome.UNCOMPARED, "No hash set was given", "The files were listed and hashed; nothing was compared."
        )
    if ignorable.files and unconfirmed:
        headline = "Listed files found; what their category means is not confirmed"
        more += [*stopped, "Confirm the category scheme before this is an answer."]
        return Verdict(Outcome.UNCONFIRMED, headline, " ".join(more))
    if contradicted:
        headline = f"No identical file found{so_far}; contradictions to check"
        return Verdict(Outcome.CONTRADICTED, headline, " ".join([*more, *stopped]))
    if lead.files:
        sentence = " ".join([*more, *stopped]).removeprefix("A further ")
        return Verdict(Outcome.LEADS, f"No identical file found{so_far}; leads to check", sentence)
    if not figures.complete:
        until = f"{files_of(figures.stored)} examined so far; the scan must be run to its end before this is an answer."
        why = "was stopped early" if figures.stopped_early else "is not complete"
        return Verdict(Outcome.OPEN, f"Nothing found so far: the scan {why}", " ".join([*more, until]))
    if not figures.stored:
        empty = "Nothing was compared: look whether the right source was given, and at what was examined."
        return Verdict(Outcome.EMPTY, "No file was found to examine", empty)
    nothing = f"{files_of(figures.stored)} examined: none is listed{' in any other category' if more else ''}."
    return Verdict(Outcome.NONE, "Known material found: NO", " ".join([*more, nothing]))


def _disagreeing_words(files: int) -> str:
    each = "it counts once, under the gravest" if files == 1 else "each counts once, under its gravest"
    return (
        f"{files_of(files)} {_is(files)} listed in categories that contradict each other: {each}. See Contradictions."
    )


def _unranked_words(files: int, found: int) -> str:
    """An old or foreign set may use 0 or 5 for what is not pertinent at all: without its scheme nobody can tell.

    Nor what an item was listed for that has no category, as in an export of a case that was taken for a hash set.
    """
    these = "all of them" if files == found else f"{number(files)} of them"
    what = "it" if files == found == 1 else these
    carry = "carries" if files == 1 else "carry"
    none = f"{carry} no category, or a code that no scheme explains, which may also mean not pertinent."
    return f"{what[0].upper()}{what[1:]} {none}"


def _graded_words(files: int, overruled: int) -> str:
    """What examiners graded is apart from what hash sets say, and must not be missed beside it."""
    otherwise = f", {number(overruled)} of them otherwise than {_is(overruled)} listed" if overruled else ""
    have = "has" if files == 1 else "have"
    return (
        f"{files_of(files)} {have} an examiner's grade{otherwise}: see Graded by examiners; no figure here follows it."
    )


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _looks(count: int) -> str:
    return "looks" if count == 1 else "look"


def none_identical(figures: Conservation, hashsets: Sequence[HashSetFacts]) -> str:
    """What stands where identical files would, if there are none: never that none is, of what nobody compared."""
    if not figures.stored:
        return "No file was examined, so none was compared with a hash set."
    if not any(facts.role == Role.NOTABLE for facts in hashsets):
        return "No hash set of known material was given, so no file was compared."
    return "No file is identical to a listed item."


def verdict_of(view: CaseView, tallies: Sequence[TallyRow] | None = None) -> Verdict:
    """The answer of the page alone, for a terminal and for many cases; ``tallies`` where they were read already."""
    read = view.tallies() if tallies is None else tallies
    far = tier_tables(read)[1]
    return verdict_with(view, *count_tables(read), far, list(map(hashset_facts, view.hashsets())))


def verdict_with(
    view: CaseView, exact: CountTable, leads: CountTable, far: CountTable, hashsets: Sequence[HashSetFacts]
) -> Verdict:
    """The answer of a case whose counts and hash sets were read already; ``far`` are the leads of the farther tier."""
    notable = [facts for facts in hashsets if facts.role == Role.NOTABLE]
    disagreeing, overruled = view.disagreeing_files()
    return verdict(
        exact,
        leads,
        view.conservation(),
        any_set=bool(notable),
        unconfirmed=unconfirmed_any(hashsets),
        far=far.total.cells["all"].files,
        md5_alone=view.md5_alone()[0],
        disagreeing=disagreeing,
        graded=sum(row.files for row in view.graded()),
        overruled=overruled,
        contradicted=sum(view.contradicted_files().values()),
    )
