// The review page: queues, one list, one item beside it, grades by keys. Everything is asked of the server behind it.

import { get, post } from "./ask.js";
import { card, details, spoken } from "./details.js";
import { announce, byId, complain, el, name, number } from "./dom.js";
import { address, fillChoices, givenFilter, readAddress, showFilter, shrinks } from "./filters.js";
import { Grid } from "./grid.js";
import { Listing } from "./listing.js";
import { Pictures, Session } from "./welfare.js";

const FIGURES_SECONDS = { growing: 5, still: 30 };
const SETTLE_MS = 150;

// What was seen without the blur is counted in the page for the examiner, and by the server for the record.
const pictures = new Pictures((ids) => post("/api/revealed", { ids }).catch((error) => complain(error.message)));
let start; // what the server said of the case, the examiner and the scheme
let listing = null;
let opening = null;
let filter = { queue: "" };
let itemsAtOpening = 0;
let busy = false; // a grade is being stored: nothing is graded on top of it
let settling = 0;
let graded = []; // where the grades of this list were given, for undoing them
const grid = new Grid(byId("grid"), {
  fill,
  moved,
  shown: (first, last) => listing?.want(first, last),
  gone: (cell) => {
    const place = cell.querySelector(".thumb");
    if (place) pictures.forget(place);
  },
});

// ---------------------------------------------------------------- the list

function fill(cell, place) {
  const item = listing?.at(place);
  const old = cell.querySelector(".thumb");
  if (old) pictures.forget(old);
  if (!item) {
    cell.replaceChildren(el("p", { class: "where", text: "…" }));
    cell.setAttribute("aria-label", `Item ${number(place + 1)}, being fetched`);
    return false;
  }
  const thumb = el("div", { class: "thumb" });
  cell.replaceChildren(...card(item, thumb));
  cell.classList.toggle("graded", Boolean(item.mine));
  cell.setAttribute("aria-label", `Item ${number(place + 1)}: ${spoken(item)}`);
  pictures.draw(thumb, item);
  return true;
}

function current() {
  return listing?.at(grid.active);
}

function moved(position) {
  byId("place").textContent = `Item ${number(position + 1)} of ${number(grid.total)}`;
  showDetails();
  clearTimeout(settling);
  settling = setTimeout(() => {
    history.replaceState(null, "", address(filter, position));
    drawLarge();
  }, SETTLE_MS);
}

function showDetails() {
  const box = byId("details");
  const item = current();
  const large = box.querySelector(".large");
  if (large) pictures.forget(large);
  if (!item) {
    box.replaceChildren(el("p", { text: grid.total ? "…" : "No item is chosen." }));
    return;
  }
  const place = el("div", { class: "large" });
  place.dataset.id = item.id;
  box.replaceChildren(...details(item, place));
  byId("group").disabled = !item.cluster;
}

function drawLarge() {
  const item = current();
  const place = byId("details").querySelector(".large");
  if (item && place && place.childElementCount === 0) pictures.draw(place, item, true);
}

async function open(wanted, at = 0, { keepAddress = false } = {}) {
  // Going back comes to the item that was chosen, not to the beginning.
  if (listing && !keepAddress) history.replaceState(null, "", address(filter, grid.active));
  clearTimeout(settling);
  opening?.abort();
  const mine = (opening = new AbortController());
  listing?.close();
  listing = null;
  filter = wanted;
  graded = [];
  if (!keepAddress && location.hash !== address(wanted, at)) history.pushState(null, "", address(wanted, at));
  showFilter(wanted);
  markQueue();
  byId("stale").hidden = true;
  byId("list-title").textContent = title(wanted);
  byId("place").textContent = "Counting…";
  try {
    const { count } = await get("/api/count", wanted, mine.signal);
    if (mine.signal.aborted) return;
    complain("");
    itemsAtOpening = queue(wanted.queue)?.items ?? count;
    listing = new Listing(wanted, count, { arrived, failed: complain, changed: () => open(filter, grid.active, { keepAddress: true }) });
    byId("empty").hidden = count > 0;
    grid.open(count, Math.min(at, Math.max(0, count - 1)));
    if (count === 0) {
      byId("place").textContent = "No items";
      showDetails();
    }
    announce(count === 0 ? "No items." : `${number(count)} items.`);
  } catch (error) {
    if (error.name !== "AbortError") {
      byId("place").textContent = "";
      complain(error.message);
    }
  }
}

function arrived() {
  if (!listing) return;
  if (listing.total !== grid.total) grid.resize(listing.total);
  grid.refresh();
  const shown = byId("details").querySelector(".large")?.dataset.id;
  if (current() && shown !== current().id) moved(grid.active);
}

// Who is in the middle of something keeps the list as it is: it is brought up to date when asked.
function sameAgain() {
  open(filter, grid.active, { keepAddress: true }).then(() => byId("grid").focus());
}

function title(wanted) {
  const words = queue(wanted.queue)?.title ?? "Items";
  return wanted.cluster ? `${words}: one group` : words;
}

// ---------------------------------------------------------------- queues and figures

const queue = (wanted) => start.queues.find((one) => one.name === wanted);

function showQueues() {
  const buttons = start.queues.map((one) => {
    const left = Math.max(0, one.items - one.decided);
    return el(
      "button",
      { type: "button", "data-queue": one.name, onclick: () => open({ queue: one.name }).then(() => byId("grid").focus()) },
      el("span", { class: "queue-title", text: one.title }),
      el("span", { class: "queue-figures", text: `${number(one.items)}${one.decided ? ` · ${number(left)} left` : ""}` }),
    );
  });
  const focused = document.activeElement?.dataset?.queue;
  byId("queues").replaceChildren(...buttons.map((button) => el("li", {}, button)));
  if (focused) byId("queues").querySelector(`[data-queue="${CSS.escape(focused)}"]`)?.focus();
  markQueue();
}

function markQueue() {
  for (const button of byId("queues").querySelectorAll("button")) {
    if (button.dataset.queue === filter.queue) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

async function refreshFigures() {
  if (document.body.dataset.ended === "yes") return; // nobody answers any more
  try {
    const told = await get("/api/figures");
    start.queues = told.queues;
    start.scanning = told.scanning;
    showGroups(told.groups);
    showQueues();
    byId("scanning").hidden = !told.scanning;
    const now = queue(filter.queue)?.items ?? itemsAtOpening;
    byId("stale").hidden = now === itemsAtOpening;
    byId("stale-words").textContent = `This list has changed (${number(now)} in the queue now).`;
  } catch (error) {
    complain(error.message);
  }
}

// Groups of look-alikes are made when somebody asks for them: of a million pictures that takes minutes.
function showGroups(groups) {
  const before = start.groups.state;
  start.groups = groups;
  byId("make-groups").hidden = groups.state === "made" || groups.state === "making";
  const share = groups.total > 0 ? `, ${Math.floor((100 * groups.done) / groups.total)} %` : "";
  const words = { making: `Looking for groups of look-alikes${share}`, failed: groups.error };
  byId("groups-words").textContent = words[groups.state] ?? "";
  if (before === "making" && groups.state === "made") {
    announce("Groups of look-alikes are made.");
    byId("stale").hidden = false;
    byId("stale-words").textContent = "Groups of look-alikes are made.";
  }
}

async function makeGroups() {
  try {
    showGroups((await post("/api/groups")).groups);
  } catch (error) {
    complain(error.message);
  }
}

function keepFiguresFresh() {
  const growing = start.scanning || start.groups.state === "making";
  const seconds = growing ? FIGURES_SECONDS.growing : FIGURES_SECONDS.still;
  setTimeout(async () => {
    if (!document.hidden && document.body.dataset.away !== "yes") await refreshFigures();
    if (document.body.dataset.ended !== "yes") keepFiguresFresh();
  }, seconds * 1000);
}

let figuresSoon = 0;
function figuresAfterGrade() {
  clearTimeout(figuresSoon);
  figuresSoon = setTimeout(refreshFigures, 1500);
}

// ---------------------------------------------------------------- grading

function place(item) {
  listing?.each((one, index, block) => {
    if (one.id === item.id) block[index] = { ...item, key: one.key };
  });
  for (const cell of byId("grid").querySelectorAll("[role=gridcell]")) {
    const position = Number(cell.dataset.position);
    if (listing?.at(position)?.id === item.id) grid.refresh(position);
  }
  if (current()?.id === item.id) {
    showDetails();
    drawLarge();
  }
}

// A key that does nothing says so: somebody who grades by keys believes it else.
function notTaken(words) {
  byId("last").textContent = words;
  byId("last").classList.add("warn");
  announce(words);
}

function taken(words) {
  byId("last").textContent = words;
  byId("last").classList.remove("warn");
}

async function store(action) {
  if (busy) return notTaken("Key not taken: what was asked before is still being stored.");
  busy = true;
  try {
    await action();
    complain("");
  } catch (error) {
    complain(error.message);
  } finally {
    busy = false;
  }
}

function gradeAs(grade) {
  const item = current();
  if (!item) return notTaken("Key not taken: no item is shown yet, nothing was graded.");
  if (!item.gradable) return complain("This item has no content that could be graded.");
  return store(async () => {
    const position = grid.active;
    const list = listing;
    const told = await post("/api/grade", { id: item.id, code: grade.code });
    graded.push({ list, position });
    place(told.item);
    if (shrinks(filter)) list.stale = true;
    announce(`Graded ${grade.label}.`);
    taken(`Item ${number(position + 1)}: ${grade.label}`);
    if (list === listing) grid.moveTo(position + 1);
    figuresAfterGrade();
  });
}

function undo() {
  return store(async () => {
    const told = await post("/api/undo");
    const last = graded.pop();
    for (const item of told.items) place(item);
    if (shrinks(filter) && listing) listing.stale = true;
    announce(told.words);
    taken(told.words);
    if (last && last.list === listing && told.items.length === 1) grid.moveTo(last.position);
    figuresAfterGrade();
  });
}

function saveNote(words) {
  const item = current();
  if (!item || !words) return undefined;
  return store(async () => {
    const told = await post("/api/note", { id: item.id, note: words });
    place(told.item);
    announce("The note is kept.");
  });
}

async function askGroup() {
  const item = current();
  if (!item?.cluster || !item.gradable) return complain("This item is in no group.");
  byId("group-words").textContent = "Counting…";
  byId("group-choices").replaceChildren();
  byId("group-dialog").showModal();
  try {
    const told = await get("/api/group", { id: item.id });
    const before = told.decided ? ` ${number(told.decided)} of them have a grade of yours, which this replaces.` : "";
    byId("group-words").textContent = `${number(told.contents)} contents look alike.${before} Grade all of them as:`;
    byId("group-choices").replaceChildren(
      ...start.grades.map((grade) =>
        el("button", {
          type: "button",
          text: grade.label,
          onclick: () => confirmGroup(item, grade, told.contents),
        }),
      ),
    );
    byId("group-choices").firstElementChild?.focus();
  } catch (error) {
    byId("group-dialog").close();
    complain(error.message);
  }
  return undefined;
}

function confirmGroup(item, grade, count) {
  byId("group-words").textContent = `Grade ${number(count)} contents, not looked at one by one, as ${grade.label}?`;
  const go = el("button", {
    type: "button",
    text: `Yes, ${number(count)}`,
    onclick: () => {
      byId("group-dialog").close();
      store(async () => {
        const told = await post("/api/grade-group", { id: item.id, code: grade.code, expected: count });
        graded.push({ list: listing, position: grid.active });
        announce(told.words);
        taken(told.words);
        figuresAfterGrade();
        sameAgain();
      });
    },
  });
  byId("group-choices").replaceChildren(go, el("button", { type: "button", text: "No", onclick: () => byId("group-dialog").close() }));
  go.nextElementSibling.focus();
}

function lookIntoGroup() {
  const item = current();
  if (item?.cluster && !filter.cluster) open({ queue: filter.queue, cluster: String(item.cluster.id) });
}

// ---------------------------------------------------------------- welfare

function showPictures(on) {
  pictures.on = on;
  if (!on) pictures.clear();
  byId("pictures").setAttribute("aria-pressed", on ? "true" : "false");
  byId("pictures").textContent = on ? "Pictures: blurred (F8)" : "Pictures: off (F8)";
  byId("reveal").disabled = !on;
  grid.clear();
  if (listing && grid.total) grid.moveTo(grid.active);
  drawLarge();
  announce(on ? "Pictures are shown blurred and grey. Hold the space bar to see the chosen one." : "Pictures are off.");
}

function reveal(what) {
  if (what && !pictures.on) return;
  const drawn = (place) => place.querySelector("canvas") !== null;
  if (what && drawn(byId("details"))) pictures.saw([current()]);
  if (what === "all") {
    const cells = [...byId("grid").querySelectorAll("[role=gridcell]")].filter(drawn);
    pictures.saw(cells.map((cell) => listing?.at(Number(cell.dataset.position))));
  }
  pictures.hold(what);
}

// Everything out of sight at once; pictures stay off when somebody comes back.
function hideAll() {
  pictures.hold("");
  pictures.on = false;
  pictures.clear();
  if (document.body.dataset.ended !== "yes") post("/api/forget").catch(() => undefined); // whether or not it is reached, nothing is shown here
  document.body.dataset.away = "yes";
  document.title = "caid-triage";
  grid.clear();
  byId("details").replaceChildren();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  byId("page").hidden = true;
  byId("away").hidden = false;
  byId("come-back").focus();
}

function comeBack() {
  document.body.dataset.away = "no";
  byId("away").hidden = true;
  byId("page").hidden = false;
  showPictures(false);
  showDetails();
  byId("grid").focus();
}

async function end() {
  clearTimeout(figuresSoon);
  try {
    await post("/api/end");
    document.body.dataset.ended = "yes";
    hideAll();
    byId("come-back").hidden = true;
    byId("away-words").textContent = "The session has ended; every grade is stored. Close this page.";
  } catch (error) {
    complain(error.message);
  }
}

// ---------------------------------------------------------------- keys

const typing = (target) => target.closest?.("input, select, textarea, dialog") !== null;
const choosing = (target) => target.closest?.("button, a, summary") !== null;

function pressed(event) {
  if (document.body.dataset.away === "yes") {
    if (event.key === "Escape") event.preventDefault();
    return;
  }
  if (event.target.closest?.("dialog")) return; // Escape closes it, and behind it no picture is shown
  if (event.key === "Escape") {
    event.preventDefault();
    hideAll();
    return;
  }
  const control = event.ctrlKey || event.metaKey;
  if (document.body.dataset.ready !== "yes") {
    // Tab, Shift and the like, and what the browser itself does, are no orders to this page.
    const order = event.key.length === 1 || /^F\d+$|^Arrow|^Page|^Home$|^End$|^Enter$/.test(event.key);
    if (order && !typing(event.target)) notTaken("Key not taken: the page is still being set up.");
    return;
  }
  if (control && event.key.toLowerCase() === "g") return act(event, askNumber);
  if (typing(event.target)) return;
  if (control && event.key.toLowerCase() === "z") return act(event, undo);
  if (control || event.altKey) return;
  if (event.key === "F2") return act(event, askNote);
  if (event.key === "F4") return act(event, askGroup);
  if (event.key === "F8") return act(event, () => showPictures(!pictures.on));
  if (event.key === "/") return act(event, () => byId("filter-text").focus());
  if (event.key === "?") return act(event, () => byId("help-dialog").showModal());
  if (choosing(event.target)) return;
  if (event.key === " ") return act(event, () => reveal(event.shiftKey ? "all" : "one"));
  if (event.key === "Enter") return act(event, lookIntoGroup);
  const grade = start.grades.find((one) => one.key === event.key.toLowerCase());
  if (grade && !event.repeat && !event.shiftKey) act(event, () => gradeAs(grade));
}

function act(event, action) {
  event.preventDefault();
  action();
}

function askNumber() {
  byId("goto-number").value = String(grid.active + 1);
  byId("goto-number").max = String(grid.total);
  byId("goto-dialog").showModal();
  byId("goto-number").select();
}

function askNote() {
  const item = current();
  if (!item?.gradable) return;
  byId("note-words").value = "";
  byId("note-dialog").showModal();
}

function onForm(identity, action) {
  byId(identity).addEventListener("submit", (event) => {
    event.preventDefault();
    byId(identity).closest("dialog")?.close();
    action();
  });
}

function listen() {
  document.addEventListener("keyup", (event) => event.key === " " && pictures.hold(""));
  window.addEventListener("blur", () => pictures.hold("")); // the key may be let go elsewhere
  document.addEventListener("visibilitychange", () => {
    pictures.hold("");
    if (!document.hidden && document.body.dataset.away !== "yes") refreshFigures();
  });
  window.addEventListener("popstate", () => {
    const { filter: wanted, at } = readAddress();
    if (wanted.queue) open(wanted, at, { keepAddress: true });
  });
  onForm("filter", () => open(givenFilter(filter.queue)).then(() => byId("grid").focus()));
  for (const input of byId("filter").querySelectorAll("select")) {
    input.addEventListener("change", () => open(givenFilter(filter.queue)));
  }
  byId("filter-clear").addEventListener("click", () => open({ queue: filter.queue }).then(() => byId("grid").focus()));
  onForm("goto-form", () => {
    const wanted = Number.parseInt(byId("goto-number").value, 10);
    if (Number.isFinite(wanted)) grid.moveTo(wanted - 1);
    byId("grid").focus();
  });
  onForm("note-form", () => {
    saveNote(byId("note-words").value.trim());
    byId("grid").focus();
  });
  for (const button of document.querySelectorAll("dialog [data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  const clicks = {
    goto: askNumber, note: askNote, group: askGroup, undo, "make-groups": makeGroups, help: () => byId("help-dialog").showModal(),
    pictures: () => showPictures(!pictures.on), hide: hideAll, "come-back": comeBack, end, "bring-up": sameAgain,
    "complaint-close": () => complain(""),
  };
  for (const [identity, action] of Object.entries(clicks)) byId(identity).addEventListener("click", action);
  const button = byId("reveal");
  button.addEventListener("pointerdown", () => reveal("one"));
  for (const letGo of ["pointerup", "pointerleave", "pointercancel", "blur"]) {
    button.addEventListener(letGo, () => pictures.hold(""));
  }
  button.addEventListener("keydown", (event) => event.key === " " && reveal("one"));
}

// ---------------------------------------------------------------- start

function showStart() {
  byId("case").replaceChildren(name(start.case));
  byId("examiner").replaceChildren(name(start.examiner));
  byId("scheme").textContent = start.scheme.confirmed ? start.scheme.title : `NOT CONFIRMED: ${start.scheme.title}`;
  byId("scheme").classList.toggle("warn", !start.scheme.confirmed);
  byId("scanning").hidden = !start.scanning;
  byId("grades").replaceChildren(
    ...start.grades.map((grade) =>
      el(
        "button",
        { type: "button", title: grade.legal_class || grade.label, onclick: () => gradeAs(grade) },
        el("kbd", { text: grade.key }),
        el("span", { text: grade.label }),
      ),
    ),
  );
  fillChoices(start.choices);
  showGroups(start.groups);
  showQueues();
}

async function begin() {
  try {
    start = await get("/api/start");
  } catch (error) {
    complain(error.message);
    return;
  }
  showStart();
  listen();
  new Session(start.break_minutes, hideAll);
  const { filter: wanted, at } = readAddress();
  const first = start.queues.find((one) => one.items > one.decided) ?? start.queues[0];
  if (queue(wanted.queue)) await open(wanted, at, { keepAddress: true });
  else {
    history.replaceState(null, "", address({ queue: first.name }));
    await open({ queue: first.name }, 0, { keepAddress: true });
  }
  byId("grid").focus();
  document.body.dataset.ready = "yes";
  keepFiguresFresh();
}

document.addEventListener("keydown", pressed); // from the first moment on, also to say that a key comes too early
begin();
