// The words of one item: on its card in the list, and whole beside it.

import { bytes, el, name, number } from "./dom.js";

export function card(item, place) {
  const marks = el("p", { class: "marks" });
  if (item.verdict) marks.append(el("span", { class: `mark ${item.verdict.kind}`, text: item.verdict.words }));
  const where = [item.state_words, item.kind_words];
  if (item.copies > 1) where.push(`${number(item.copies)} files`);
  if (item.cluster) where.push(`group of ${number(item.cluster.size)}`);
  const grade = item.mine ? `✓ ${item.mine.label}` : "";
  return [
    place,
    el("p", { class: "name" }, name(item.name)),
    el("p", { class: "where", text: where.filter(Boolean).join(" · ") }),
    marks,
    el("p", { class: "grade", text: grade }),
  ];
}

// What the card says, for who cannot see it.
export function spoken(item) {
  const words = [item.name, item.state_words, item.kind_words];
  if (item.verdict) words.push(item.verdict.words);
  if (item.cluster) words.push(`in a group of ${number(item.cluster.size)}`);
  if (item.mine) words.push(`graded ${item.mine.label}`);
  else words.push("not graded");
  return words.filter(Boolean).join(", ");
}

function facts(rows) {
  const list = el("dl");
  for (const [term, value] of rows) {
    if (value === null || value === undefined || value === "") continue;
    list.append(el("dt", { text: term }), el("dd", {}, typeof value === "string" ? name(value) : value));
  }
  return list;
}

function match(row) {
  const head =
    row.how === "exact"
      ? "Identical to a listed item"
      : `Looks like a listed item (${row.tier ?? row.how}): a lead, and no more until you have looked`;
  const distance = row.how === "exact" ? "" : `${row.distance} of ${row.threshold} ${row.algorithm} allowed`;
  return el(
    "section",
    { class: `match ${row.how}` },
    el("h3", { text: head }),
    facts([
      ["Category", row.category],
      ["Hash set", row.hashset],
      ["Media id", row.media_id],
      ["By", row.how === "exact" ? row.algorithm : ""],
      ["Distance", distance],
      ["Seen as", row.look],
    ]),
  );
}

function decided(words, decision) {
  return facts([
    [words, `${decision.label}${decision.confirmed === false ? " (NOT CONFIRMED)" : ""}`],
    ["When", decision.when],
    ["Note", decision.note],
  ]);
}

export function details(item, place) {
  const size = item.width && item.height ? `${item.width} × ${item.height}` : "";
  const parts = [el("h2", {}, name(item.name)), place];
  if (item.mine) parts.push(decided("Your grade", item.mine));
  else if (item.gradable) parts.push(el("p", { class: "undecided", text: "Not graded by you." }));
  for (const other of item.others) parts.push(decided(`Grade of ${other.examiner}`, other));
  if (item.agreement) parts.push(el("p", { class: `agreement ${item.agreement}`, text: item.agreement_words }));
  for (const remark of item.remarks) {
    parts.push(el("p", { class: "remark" }, name(remark.text), el("span", { text: `${remark.examiner}, ${remark.when}` })));
  }
  parts.push(...item.matches.map(match));
  if (item.more_matches > 0) {
    parts.push(el("p", { class: "aside", text: `${number(item.more_matches)} more matches: see the report.` }));
  }
  if (item.matches.some((row) => row.how !== "exact")) {
    parts.push(el("p", { class: "aside", text: "There is no picture of the listed item: a hash set holds none." }));
  }
  parts.push(
    facts([
      ["Path", item.path],
      ["Exhibit", [item.exhibit, item.source, item.volume].filter(Boolean).join(" · ")],
      ["State", item.state_words],
      ["Place", item.location],
      ["Kind", [item.kind_words, item.media_type].filter(Boolean).join(", ")],
      ["Size", [bytes(item.size), size].filter(Boolean).join(", ")],
      ["Length", item.duration],
      ["Created", item.created],
      ["Modified", item.modified],
      ["Device", item.device],
      ["Files like this", item.copies > 1 ? `${number(item.copies)}, identical` : ""],
      ["Group", item.cluster ? `${number(item.cluster.size)} contents that look alike` : ""],
    ]),
  );
  for (const problem of item.problems) parts.push(el("p", { class: "problem" }, name(problem)));
  return parts;
}
