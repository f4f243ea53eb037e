// A grid of any number of cells of which only those on the screen exist.
//
// A browser draws nothing beyond some ten millions of pixels (Chromium 2^25, Firefox 2^24). So the scrolled box is at
// most MOST_PIXELS high, its scroll bar stands for a share of the whole, and the rows are laid out on a layer that
// stays in the window: where each stands is reckoned from `top`, in pixels of the whole. Keys and the wheel move `top`
// exactly; only the scroll bar is coarser than a row.

import { el } from "./dom.js";

export const MOST_PIXELS = 10_000_000;
const CELL_WIDTH = 196;
const ROW_HEIGHT = 176;
const LINE_PIXELS = 40;

export class Grid {
  constructor(root, { fill, moved, shown, gone }) {
    this.root = root;
    this.told = { fill, moved, shown, gone };
    this.total = 0;
    this.active = 0;
    this.top = 0;
    this.columns = 1;
    this.rows = new Map();
    this.spacer = el("div", { class: "spacer", role: "presentation" });
    this.layer = el("div", { class: "layer", role: "rowgroup" });
    this.spacer.append(this.layer);
    root.append(this.spacer);
    this.expected = 0;
    this.frame = 0;
    root.addEventListener("scroll", () => this._scrolled());
    root.addEventListener("wheel", (event) => this._wheeled(event), { passive: false });
    root.addEventListener("keydown", (event) => this._key(event));
    root.addEventListener("mousedown", (event) => this._clicked(event));
    new ResizeObserver(() => this._resized()).observe(root);
  }

  get height() {
    return this.root.clientHeight;
  }

  get wholeHeight() {
    return Math.ceil(this.total / this.columns) * ROW_HEIGHT;
  }

  get mostTop() {
    return Math.max(0, this.wholeHeight - this.height);
  }

  get scaled() {
    return this.wholeHeight > MOST_PIXELS;
  }

  get pageCells() {
    return Math.max(1, Math.floor(this.height / ROW_HEIGHT)) * this.columns;
  }

  // Another list, or the same one with another number of items.
  open(total, active = 0) {
    this.clear();
    this.resize(total);
    this.moveTo(active, true);
  }

  resize(total) {
    this.total = total;
    this.root.hidden = total === 0;
    this._measure();
    this.active = Math.max(0, Math.min(this.active, total - 1));
  }

  clear() {
    for (const row of [...this.rows.keys()]) this._drop(row);
  }

  moveTo(position, atTop = false) {
    if (this.total === 0) return;
    this.active = Math.max(0, Math.min(this.total - 1, position));
    const y = Math.floor(this.active / this.columns) * ROW_HEIGHT;
    let top = this.top;
    if (atTop) top = y;
    else if (y < top) top = y;
    else if (y + ROW_HEIGHT > top + this.height) top = y + ROW_HEIGHT - this.height;
    this._setTop(top);
    this.told.moved(this.active);
  }

  // Items have arrived, or one has changed.
  refresh(position = undefined) {
    for (const [row, element] of this.rows) {
      for (let column = 0; column < element.children.length; column += 1) {
        const place = row * this.columns + column;
        const cell = element.children[column];
        if (place === position || (position === undefined && cell.dataset.empty === "yes")) this._fill(cell, place);
      }
    }
  }

  cell(position) {
    const row = this.rows.get(Math.floor(position / this.columns));
    return row?.children[position % this.columns];
  }

  _measure() {
    this.columns = Math.max(1, Math.floor(this.root.clientWidth / CELL_WIDTH));
    this.spacer.style.height = `${Math.min(this.wholeHeight, MOST_PIXELS)}px`;
    this.layer.style.height = `${Math.min(this.height, this.wholeHeight)}px`;
    this.root.setAttribute("aria-rowcount", Math.ceil(this.total / this.columns));
    this.root.setAttribute("aria-colcount", this.columns);
  }

  _resized() {
    if (this.total === 0 || this.height === 0) return;
    const columns = this.columns;
    this._measure();
    if (columns !== this.columns) {
      this.clear();
      this.moveTo(this.active, true);
    } else this._setTop(this.top);
  }

  _setTop(top) {
    this.top = Math.max(0, Math.min(this.mostTop, top));
    const way = Math.min(this.wholeHeight, MOST_PIXELS) - this.height;
    this.expected = this.scaled ? Math.round((this.top / this.mostTop) * way) : this.top;
    this.root.scrollTop = this.expected;
    this._draw();
  }

  _scrolled() {
    const seen = this.root.scrollTop;
    if (Math.abs(seen - this.expected) <= 1) return; // it was us
    this.expected = seen;
    const way = Math.min(this.wholeHeight, MOST_PIXELS) - this.height;
    this.top = this.scaled ? (seen / way) * this.mostTop : seen;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this._draw());
  }

  _wheeled(event) {
    if (!this.scaled || event.ctrlKey) return; // unscaled, the browser's own scrolling is exact
    event.preventDefault();
    const unit = event.deltaMode === 1 ? LINE_PIXELS : event.deltaMode === 2 ? this.height : 1;
    this._setTop(this.top + event.deltaY * unit);
  }

  _key(event) {
    if (event.altKey || event.metaKey) return;
    const page = this.pageCells;
    const steps = {
      ArrowLeft: this.active - 1,
      ArrowRight: this.active + 1,
      ArrowUp: this.active - this.columns,
      ArrowDown: this.active + this.columns,
      PageUp: this.active - page,
      PageDown: this.active + page,
      Home: 0,
      End: this.total - 1,
    };
    let step = steps[event.key];
    if (step === undefined || event.shiftKey) return;
    event.preventDefault();
    if (step < 0) step = event.key === "PageUp" ? 0 : this.active;
    if (step >= this.total) step = event.key === "ArrowRight" ? this.active : this.total - 1;
    this.moveTo(step);
  }

  _clicked(event) {
    const cell = event.target.closest("[role=gridcell]");
    if (cell) this.moveTo(Number(cell.dataset.position));
  }

  _draw() {
    const first = Math.floor(this.top / ROW_HEIGHT);
    const last = Math.min(Math.ceil(this.total / this.columns), Math.ceil((this.top + this.height) / ROW_HEIGHT)) - 1;
    for (const row of [...this.rows.keys()]) if (row < first || row > last) this._drop(row);
    for (let row = first; row <= last; row += 1) {
      const element = this.rows.get(row) ?? this._make(row);
      element.style.transform = `translateY(${row * ROW_HEIGHT - this.top}px)`;
    }
    this._mark();
    this.told.shown(first * this.columns, Math.min(this.total, (last + 1) * this.columns) - 1);
  }

  _make(row) {
    const element = el("div", { class: "row", role: "row", "aria-rowindex": row + 1 });
    element.style.gridTemplateColumns = `repeat(${this.columns}, 1fr)`;
    const begin = row * this.columns;
    for (let place = begin; place < Math.min(this.total, begin + this.columns); place += 1) {
      const cell = el("div", {
        class: "cell",
        role: "gridcell",
        id: `cell-${place}`,
        "aria-colindex": place - begin + 1,
        "aria-selected": "false",
      });
      cell.dataset.position = place;
      this._fill(cell, place);
      element.append(cell);
    }
    // In order: who reads the page by its elements reads the rows one after the other.
    const behind = Math.min(...[...this.rows.keys()].filter((other) => other > row));
    this.layer.insertBefore(element, this.rows.get(behind) ?? null);
    this.rows.set(row, element);
    return element;
  }

  _fill(cell, place) {
    cell.dataset.empty = this.told.fill(cell, place) ? "no" : "yes";
  }

  _drop(row) {
    const element = this.rows.get(row);
    for (const cell of element.children) this.told.gone(cell);
    element.remove();
    this.rows.delete(row);
  }

  _mark() {
    for (const [row, element] of this.rows) {
      for (let column = 0; column < element.children.length; column += 1) {
        const active = row * this.columns + column === this.active;
        element.children[column].setAttribute("aria-selected", active ? "true" : "false");
      }
    }
    if (this.cell(this.active)) this.root.setAttribute("aria-activedescendant", `cell-${this.active}`);
    else this.root.removeAttribute("aria-activedescendant");
  }
}
