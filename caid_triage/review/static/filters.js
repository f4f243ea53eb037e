// What is wanted, in the page's address behind the "#": so that going back goes back, and nothing of it is sent or logged.

import { byId, el } from "./dom.js";

export const FIELDS = [
  "state", "kind", "exhibit", "location", "category", "decided", "text", "device",
  "size_min", "size_max", "date_from", "date_to",
];
const ALL = ["queue", "cluster", ...FIELDS];

// The filter and the place in its list that an address names.
export function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const filter = {};
  for (const field of ALL) if (given.get(field)) filter[field] = given.get(field);
  const at = Number.parseInt(given.get("at") ?? "0", 10);
  return { filter, at: Number.isSafeInteger(at) && at > 0 ? at : 0 };
}

export function address(filter, at = 0) {
  const words = new URLSearchParams();
  for (const field of ALL) if (filter[field]) words.set(field, filter[field]);
  if (at > 0) words.set("at", String(at));
  return `#${words}`;
}

// Whether a grade may take an item out of the list, or bring another one in: then a number means another item than before.
export function shrinks(filter) {
  return Boolean(filter.decided || filter.category || filter.queue === "disputed");
}

export function fillChoices(choices) {
  for (const [field, options] of Object.entries(choices)) {
    byId(`filter-${field}`).append(...options.map(({ value, words }) => el("option", { value, text: words })));
  }
}

export function showFilter(filter) {
  for (const field of FIELDS) {
    const input = byId(`filter-${field}`);
    input.value = filter[field] ?? "";
    if (input.tagName === "SELECT" && input.selectedIndex < 0) {
      input.append(el("option", { value: filter[field], text: filter[field] }));
      input.value = filter[field];
    }
  }
  const more = ["location", "exhibit", "device", "size_min", "size_max", "date_from", "date_to"];
  if (more.some((field) => filter[field])) byId("more").open = true;
  byId("filter-clear").hidden = !FIELDS.some((field) => filter[field]);
}

export function givenFilter(queue) {
  const filter = { queue };
  for (const field of FIELDS) {
    const value = byId(`filter-${field}`).value.trim();
    if (value) filter[field] = value;
  }
  return filter;
}
