// The items of one filter, fetched in blocks and never all at once.
//
// A block beside one that is known is asked for by the key at that one's edge, so an item that left the filter (it was
// graded, and only undecided ones are wanted) makes none of its neighbours be passed over. Only a jump asks by number.

import { get } from "./ask.js";

export const BLOCK = 48;
const MOST_BLOCKS = 40;
const MOST_AT_ONCE = 3;
const REST_MS = 100;

export class Listing {
  constructor(filter, total, { arrived, failed, changed }) {
    this.filter = filter;
    this.total = total;
    this.stale = false; // something was graded since: a number may mean another item than it did
    this.told = { arrived, failed, changed };
    this.blocks = new Map();
    this.edges = new Map();
    this.asked = new Map();
    this.wanted = [];
    this.closed = false;
    this.pause = 0;
    this.last = -Infinity;
  }

  at(position) {
    return this.blocks.get(Math.floor(position / BLOCK))?.[position % BLOCK];
  }

  // The items of these positions are on the screen; whatever else was asked for is not needed any more.
  want(first, last) {
    const blocks = [];
    for (let block = Math.floor(first / BLOCK); block <= Math.floor(Math.max(first, last) / BLOCK); block += 1) {
      if (block * BLOCK < this.total) blocks.push(block);
    }
    this.wanted = blocks.filter((block) => !this.blocks.has(block));
    for (const [block, controller] of this.asked) {
      if (!this.wanted.includes(block)) {
        controller.abort();
        this.asked.delete(block);
      }
    }
    for (const block of blocks) {
      const known = this.blocks.get(block);
      if (known) {
        this.blocks.delete(block); // the most recently seen stand last
        this.blocks.set(block, known);
      }
    }
    // Somebody drags the scroll bar: what flies past is not asked for, only what it comes to rest on.
    const now = performance.now();
    const flying = now - this.last < REST_MS && !this.wanted.some((block) => this._beside(block));
    this.last = now;
    clearTimeout(this.pause);
    this.pause = flying ? setTimeout(() => this._rested(), REST_MS) : 0;
    this._askNext();
  }

  _rested() {
    this.pause = 0;
    this._askNext();
  }

  _beside(block) {
    return this.edges.has(block - 1) || this.edges.has(block + 1);
  }

  replace(position, item) {
    const block = this.blocks.get(Math.floor(position / BLOCK));
    if (block) block[position % BLOCK] = item;
  }

  each(action) {
    for (const block of this.blocks.values()) block.forEach(action);
  }

  close() {
    this.closed = true;
    for (const controller of this.asked.values()) controller.abort();
    this.asked.clear();
  }

  _askNext() {
    if (this.closed || this.pause !== 0) return;
    for (const block of this.wanted) {
      if (this.asked.size >= MOST_AT_ONCE) return;
      if (!this.asked.has(block)) this._ask(block);
    }
  }

  async _ask(block) {
    const controller = new AbortController();
    this.asked.set(block, controller);
    const place = { limit: String(BLOCK) };
    const before = this.edges.get(block - 1);
    const behind = this.edges.get(block + 1);
    if (before) place.after = before.last;
    else if (behind) place.before = behind.first;
    else if (this.stale && block > 0) {
      this.asked.delete(block);
      this.told.changed();
      return;
    } else place.at = String(block * BLOCK);
    try {
      const { items } = await get("/api/items", { ...this.filter, ...place }, controller.signal);
      if (this.closed || controller.signal.aborted) return;
      this._keep(block, items, place);
    } catch (error) {
      if (error.name !== "AbortError" && !this.closed) {
        this.wanted = [];
        this.told.failed(error.message);
      }
    } finally {
      if (this.asked.get(block) === controller) this.asked.delete(block);
      this._askNext();
    }
  }

  _keep(block, items, place) {
    this.wanted = this.wanted.filter((wanted) => wanted !== block);
    const expected = Math.min(BLOCK, this.total - block * BLOCK);
    if (items.length < expected) {
      if (place.before !== undefined) return this.told.changed(); // the beginning is nearer than it was
      this.total = block * BLOCK + items.length;
      this.told.arrived();
    }
    if (items.length === 0) return undefined;
    this.blocks.set(block, items.slice(0, expected));
    this.edges.set(block, { first: items[0].key, last: items[Math.min(items.length, expected) - 1].key });
    for (const oldest of this.blocks.keys()) {
      if (this.blocks.size <= MOST_BLOCKS) break;
      this.blocks.delete(oldest);
    }
    return this.told.arrived();
  }
}
