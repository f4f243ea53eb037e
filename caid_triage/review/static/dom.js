// Elements made of text alone: a name from a suspect's disk is never read as markup (the policy has no other way).

export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (identity) => document.getElementById(identity);

// Somebody else's text stands in a direction of its own.
export const name = (text) => el("bdi", { text });

export const number = (value) => value.toLocaleString("en-GB");

export function bytes(size) {
  if (size === null || size === undefined) return "size not known";
  if (size < 1000) return `${size} bytes`;
  let amount = size;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    amount /= 1000;
    if (amount < 999.5 || unit === "TB") return `${Number(amount.toPrecision(3))} ${unit}`;
  }
  return "";
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

// Said to who cannot see the page: once, politely.
export function announce(words) {
  byId("said").textContent = words;
}

export function complain(words) {
  const box = byId("complaint");
  byId("complaint-words").textContent = words;
  box.hidden = words === "";
}
