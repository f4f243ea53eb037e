// What spares the person who looks: no picture until asked for, blurred and grey until a key is held, small, and an end.

import { picture } from "./ask.js";
import { announce, byId, clock, el, number } from "./dom.js";

const KEPT = 120;
const AT_ONCE = 4;
const PRESSED_AGAIN_MINUTES = 5;
const TILE = 160;
const LARGE = 320;

export class Pictures {
  // `told` is called with the ids of pictures that are seen without the blur and were not before.
  constructor(told) {
    this.told = told;
    this.on = false;
    this.bitmaps = new Map();
    this.asked = new Map();
    this.waiting = [];
    this.revealed = new Set();
    this.held = "";
  }

  // Draw the picture of an item into its place; `whole` is the larger one beside the list.
  draw(place, item, whole = false) {
    this.forget(place);
    place.replaceChildren();
    if (!item.picture) {
      place.append(el("span", { class: "no-picture", text: item.kind_words }));
      return;
    }
    if (!this.on) {
      place.append(el("span", { class: "no-picture", text: `${item.kind_words}, not shown` }));
      return;
    }
    const size = whole ? LARGE : TILE;
    const known = this.bitmaps.get(`${item.id} ${size}`);
    if (known) this._show(place, known, item);
    else {
      place.append(el("span", { class: "no-picture", text: "…" }));
      this.waiting.push({ place, item, size });
      this._next();
    }
  }

  // A place that is scrolled past: what was asked for it is not needed any more.
  forget(place) {
    this.waiting = this.waiting.filter((one) => one.place !== place);
    this.asked.get(place)?.abort();
    this.asked.delete(place);
  }

  clear() {
    this.waiting = [];
    for (const controller of this.asked.values()) controller.abort();
    this.asked.clear();
    for (const bitmap of this.bitmaps.values()) bitmap.close();
    this.bitmaps.clear();
  }

  // Reveal while a key or a button is held: "one" the current item, "all" what is on the screen, "" nothing.
  hold(what) {
    if (what === this.held) return;
    this.held = what;
    document.body.dataset.held = what;
  }

  // These are seen without the blur, now.
  saw(items) {
    const fresh = items.filter((item) => item?.picture && !this.revealed.has(item.id)).map((item) => item.id);
    for (const identity of fresh) this.revealed.add(identity);
    byId("viewed").textContent = number(this.revealed.size);
    if (fresh.length > 0) this.told(fresh);
  }

  _next() {
    while (this.asked.size < AT_ONCE && this.waiting.length > 0) this._ask(this.waiting.shift());
  }

  async _ask({ place, item, size }) {
    const controller = new AbortController();
    this.asked.set(place, controller);
    try {
      const { bitmap, words } = await picture(item.id, size, controller.signal);
      if (controller.signal.aborted || !this.on) bitmap?.close();
      else if (bitmap) {
        this._keep(`${item.id} ${size}`, bitmap);
        this._show(place, bitmap, item);
      } else place.replaceChildren(el("span", { class: "no-picture", text: words }));
    } catch (error) {
      if (error.name !== "AbortError") place.replaceChildren(el("span", { class: "no-picture", text: error.message }));
    } finally {
      if (this.asked.get(place) === controller) this.asked.delete(place);
      this._next();
    }
  }

  _keep(key, bitmap) {
    this.bitmaps.set(key, bitmap);
    for (const oldest of this.bitmaps.keys()) {
      if (this.bitmaps.size <= KEPT) break;
      this.bitmaps.get(oldest).close();
      this.bitmaps.delete(oldest);
    }
  }

  _show(place, bitmap, item) {
    const canvas = el("canvas", { class: "veiled", width: bitmap.width, height: bitmap.height, "aria-hidden": "true" });
    place.replaceChildren(canvas);
    // Without the style that blurs it nothing is drawn.
    if (getComputedStyle(canvas).filter.includes("blur")) canvas.getContext("2d").drawImage(bitmap, 0, 0);
    else if (this.held) {
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
    } else place.replaceChildren(el("span", { class: "no-picture", text: "not shown: the page's style is missing" }));
    // Chosen, scrolled to or come in while the key is held.
    if (this.held === "all" || (this.held === "one" && place.classList.contains("large"))) this.saw([item]);
  }
}

// How long somebody has looked, and when a break is due. The time of a page that is not in front does not count.
export class Session {
  constructor(breakMinutes, take) {
    this.breakSeconds = breakMinutes * 60;
    this.seconds = Number(sessionStorage.getItem("seconds") ?? 0);
    this.due = Number(sessionStorage.getItem("due") ?? this.breakSeconds);
    this.take = take;
    this.last = performance.now();
    setInterval(() => this._tick(), 1000);
    byId("break-later").addEventListener("click", () => this.later());
    byId("break-now").addEventListener("click", () => {
      this.rested();
      take();
    });
    this._show();
  }

  later() {
    this.due = this.seconds + PRESSED_AGAIN_MINUTES * 60;
    byId("break").hidden = true;
    byId("grid").focus();
    this._show();
  }

  rested() {
    this.due = this.seconds + this.breakSeconds;
    byId("break").hidden = true;
    this._show();
  }

  _tick() {
    const now = performance.now();
    if (!document.hidden && document.body.dataset.away !== "yes") this.seconds += (now - this.last) / 1000;
    this.last = now;
    if (this.breakSeconds > 0 && this.seconds >= this.due && byId("break").hidden) {
      byId("break-words").textContent = `You have been looking for ${Math.round(this.seconds / 60)} minutes.`;
      byId("break").hidden = false;
      announce("A break is due.");
    }
    this._show();
  }

  _show() {
    sessionStorage.setItem("seconds", String(this.seconds));
    sessionStorage.setItem("due", String(this.due));
    byId("time").textContent = clock(this.seconds);
    const left = Math.ceil((this.due - this.seconds) / 60);
    byId("next-break").textContent = this.breakSeconds === 0 ? "none set" : left > 0 ? `in ${left} min` : "now";
  }
}
