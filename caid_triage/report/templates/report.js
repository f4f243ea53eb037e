"use strict";
(function () {
// Filters, sorts and pages one table. The page has one of identical files, and one of leads.
function begin(name) {
  const part = (of) => document.getElementById(name + "-" + of);
  const source = part("data");
  const table = document.getElementById(name);
  if (!source || !table) return;
  const data = JSON.parse(source.textContent);
  const PRINTED = 2000;
  const body = table.tBodies[0];
  const controls = part("controls");
  const said = part("said");
  const printed = part("printed");
  const count = data.held;
  const number = (value) => value.toLocaleString("en-GB");
  const cell = (column, row) => data[column].values[data[column].rows[row]];

  // What a row says, for the filters, by the names of their fields.
  const facets = {
    category: (row) => cell("category", row)[0],
    match: (row) => cell("how", row)[0],
    state: (row) => cell("state", row)[0],
    kind: (row) => cell("kind", row)[0],
    exhibit: (row) => cell("where", row)[0],
    hashset: (row) => cell("set", row),
  };
  const inOrder = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  // In small letters, made when they are first asked for: opening the page needs none of it.
  const lazily = (make) => {
    let made = null;
    return () => made || (made = make());
  };
  const lowered = (column) => {
    const values = lazily(() => data[column].values.map((value) => [].concat(value).join(" ").toLowerCase()));
    return (row) => values()[data[column].rows[row]];
  };
  const place = lowered("where"), folder = lowered("folder"), item = lowered("item"), set = lowered("set");
  const names = lazily(() => data.names.map((name) => name.toLowerCase()));
  const distance = (row) => {
    const found = data.chance && /(\d+) of \d+/.exec(cell("how", row)[2]);
    return found ? Number(found[1]) : Infinity;
  };
  const chance = (row) => (cell("chance", row)[1] === null ? Infinity : cell("chance", row)[1]);
  const orders = {
    match: (a, b) => inOrder(distance(a), distance(b)) || inOrder(cell("how", a).join(), cell("how", b).join()),
    chance: (a, b) => inOrder(chance(a), chance(b)),
    category: (a, b) => cell("category", a)[2] - cell("category", b)[2] || inOrder(cell("category", a)[0], cell("category", b)[0]),
    file: (a, b) => inOrder(place(a), place(b)) || inOrder(folder(a), folder(b)) || inOrder(names()[a], names()[b]),
    state: (a, b) => inOrder(cell("state", a).join(), cell("state", b).join()),
    kind: (a, b) => inOrder(cell("kind", a)[1], cell("kind", b)[1]),
    size: (a, b) => data.bytes[a] - data.bytes[b],
    modified: (a, b) => inOrder(cell("modified", a), cell("modified", b)),
    set: (a, b) => inOrder(set(a), set(b)) || inOrder(item(a), item(b)),
  };

  const state = { rows: [], page: 0, size: 100, sort: "", down: false };

  function element(name, kind, text) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function bdi(text) {
    return element("bdi", "", text);
  }
  function below(parent, lines, isolated) {
    lines.forEach((line) => {
      parent.append(element("br"));
      const small = element("span", "sub");
      if (isolated) small.append(bdi(line)); else small.textContent = line;
      parent.append(small);
    });
  }
  function drawn(row) {
    const line = element("tr");
    const how = cell("how", row);
    const first = element("td", "how");
    first.append(element("span", "tag " + (data.chance ? "near" : "exact"), how[1]));
    below(first, how.slice(2), true);
    const category = element("th");
    category.scope = "row";
    const [label, scheme] = cell("category", row);
    category.append(bdi(label));
    if (scheme && !label.includes(scheme)) {
      const small = element("span", "sub", "scheme ");
      small.append(bdi(scheme));
      category.append(element("br"), small);
    }
    const file = element("td", "path");
    const where = element("span", "sub");
    where.append(bdi(cell("where", row)[1]));
    file.append(where, element("br"), bdi(cell("folder", row) + data.names[row]));
    const stood = cell("state", row);
    const standing = element("td", "", stood[0]);
    below(standing, stood.slice(1), false);
    const entry = element("td", "set");
    const things = cell("item", row);
    entry.append(bdi(cell("set", row)), " ");
    const first_item = element("span", "sub");
    first_item.append(bdi(things[0]));
    entry.append(first_item);
    below(entry, things.slice(1), true);
    const rate = data.chance ? [element("td", "rate", cell("chance", row)[0])] : [];
    const kind = data.chance ? [] : [element("td", "nowrap", cell("kind", row)[1])];
    line.append(first, ...rate, category, file, standing, ...kind,
      element("td", "n", cell("size", row)), element("td", "when", cell("modified", row)), entry);
    return line;
  }
  function fill(from, to) {
    const lines = document.createDocumentFragment();
    for (let place = from; place < to; place += 1) lines.append(drawn(state.rows[place]));
    body.replaceChildren(lines);
  }

  function choices() {
    return Array.from(controls.querySelectorAll("select[data-facet]")).filter((field) => field.value !== "");
  }
  function words() {
    const text = part("text").value.trim();
    const chosen = choices().map((field) => field.dataset.words.toLowerCase() + " " + field.selectedOptions[0].textContent);
    if (text) chosen.push("text “" + text + "”");
    return chosen.length ? chosen.join("; ") : "no filter";
  }
  function select() {
    const wanted = choices().map((field) => {
      const of = facets[field.dataset.facet];
      // The first choice is all, the others stand in the order of the list.
      const value = field.selectedOptions[0].dataset.value;
      return (row) => of(row) === value;
    });
    const parts = part("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [];
    for (let row = 0; row < count; row += 1) {
      if (!wanted.every((fits) => fits(row))) continue;
      if (parts.length) {
        const text = place(row) + " " + folder(row) + names()[row] + " " + set(row) + " " + item(row);
        if (!parts.every((part) => text.includes(part))) continue;
      }
      rows.push(row);
    }
    if (state.sort) {
      const order = orders[state.sort];
      // Array.sort is stable: what is equal stays in the order of the report, also downwards.
      rows.sort(state.down ? (a, b) => order(b, a) : order);
    }
    state.rows = rows;
    state.page = 0;
    show();
  }
  function show() {
    const pages = Math.max(1, Math.ceil(state.rows.length / state.size));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const from = state.page * state.size;
    const to = Math.min(from + state.size, state.rows.length);
    fill(from, to);
    const cut = data.held < data.total ? " The page holds the first " + number(data.held) + " of "
      + number(data.total) + " " + data.words[1] + "; matches.csv has all." : "";
    const all = number(count) + " " + data.words[count === 1 ? 0 : 1];
    const of = state.rows.length === count ? all : number(state.rows.length) + " that fit, of " + all;
    said.textContent = (state.rows.length ? "Shown: " + number(from + 1) + " to " + number(to) + " of " + of
      : "No " + data.words[0] + " fits, of " + all) + "." + cut;
    part("page").textContent = "Page " + number(state.page + 1) + " of " + number(pages);
    for (const [button, off] of [["first", state.page === 0], ["back", state.page === 0],
      ["on", state.page >= pages - 1], ["last", state.page >= pages - 1]]) {
      // Not disabled: a button that has the focus would lose it.
      part(button).setAttribute("aria-disabled", String(off));
    }
  }
  function turn(to) {
    state.page = to;
    show();
  }

  Array.from(table.tHead.rows[0].cells).forEach((heading) => {
    const button = element("button", "sort", heading.textContent);
    button.type = "button";
    heading.replaceChildren(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const key = heading.dataset.sort;
      // Up, down, and again the order of the report.
      if (state.sort !== key) { state.sort = key; state.down = false; }
      else if (!state.down) state.down = true;
      else { state.sort = ""; state.down = false; }
      Array.from(table.tHead.rows[0].cells).forEach((other) => other.setAttribute("aria-sort",
        other.dataset.sort !== state.sort ? "none" : state.down ? "descending" : "ascending"));
      select();
    });
  });
  controls.querySelectorAll("select[data-facet]").forEach((field) => field.addEventListener("change", select));
  let waiting = 0;
  part("text").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(select, 150);
  });
  part("size").addEventListener("change", (event) => {
    const first = state.page * state.size;
    state.size = Number(event.target.value);
    turn(Math.floor(first / state.size));
  });
  part("first").addEventListener("click", () => turn(0));
  part("back").addEventListener("click", () => turn(state.page - 1));
  part("on").addEventListener("click", () => turn(state.page + 1));
  part("last").addEventListener("click", () => turn(Infinity));
  part("clear").addEventListener("click", () => {
    controls.querySelectorAll("select[data-facet]").forEach((field) => { field.selectedIndex = 0; });
    part("text").value = "";
    select();
  });

  window.addEventListener("beforeprint", () => {
    const most = Math.min(PRINTED, state.rows.length);
    fill(0, most);
    printed.textContent = "Printed: " + (most < state.rows.length ? "the first " : "") + number(most) + " of "
      + number(state.rows.length) + " " + data.words[1] + " that the filter shows (" + words() + "); the case has "
      + number(data.total) + ". matches.csv has all.";
    printed.hidden = false;
  });
  window.addEventListener("afterprint", () => {
    printed.hidden = true;
    show();
  });

  controls.hidden = false;
  part("pages").hidden = false;
  select();
}

begin("hits");
begin("look-alikes");
document.querySelectorAll(".without-script").forEach((words) => { words.hidden = true; });
}());
