const ROW = 32, BLOCK = 100, TALLEST = 8000000, KEPT = 60;

class GridView {
  constructor(model, root) {
    this.model = model;
    this.root = root;
    this.texts = model.get("texts");
    this.columns = model.get("columns");
    this.blocks = new Map();
    this.asked = new Map();
    this.version = -1;
    this.active = -1;
    this.first = 0;
    this.id = fresh("dl-grid");
    place(root, model, "dl-grid-box");
    this.build();
    this.onCustom = (content) => this.receive(content);
    this.onView = () => this.renew();
    model.on("msg:custom", this.onCustom);
    model.on("change:view", this.onView);
    this.onBusy = () => this.waits();
    model.on("change:busy", this.onBusy);
    this.waits();
    this.renew();
    this.sizes = new ResizeObserver(() => this.resized());
    this.sizes.observe(this.scroll);
  }

  build() {
    const { texts } = this;
    this.count = el("span", { class: "dl-count", role: "status" });
    this.search = el("input", { type: "search", class: "dl-input", placeholder: texts.search, "aria-label": texts.search });
    let timer;
    this.search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.model.send({ kind: "search", text: this.search.value.slice(0, 500) }), 150);
    });
    this.fault = el("p", { class: "dl-fault", role: "alert", hidden: true });
    this.head = el("div", { class: "dl-row dl-head", role: "row", "aria-rowindex": "1" });
    this.heads = this.columns.map((column, place) => {
      const button = el("button", { type: "button", class: "dl-sort", onclick: () => this.sort(column.name) },
        el("span", {}, column.header), el("i", { "aria-hidden": "true" }));
      const cell = el("div", { class: `dl-cell dl-${column.kind}`, role: "columnheader", "aria-sort": "none", "aria-colindex": place + 1 }, button);
      this.head.append(cell);
      return cell;
    });
    this.body = el("div", { class: "dl-body", role: "rowgroup" });
    this.canvas = el("div", { class: "dl-canvas" }, el("div", { class: "dl-headgroup", role: "rowgroup" }, this.head), this.body);
    this.scroll = el("div", {
      class: "dl-scroll", role: "grid", tabindex: "0", "aria-label": this.model.get("label"),
      "aria-colcount": this.columns.length, onkeydown: (event) => this.key(event), onscroll: () => this.draw(),
    }, this.canvas);
    this.scroll.style.height = `${this.model.get("height")}px`;
    // What room is left goes to the texts, which are longer than numbers; at the right where there is none.
    const grows = (column) => column.kind === "text" && !column.states;
    const widths = this.columns.map((column) => grows(column) ? `minmax(${column.width}px, 1fr)` : `${column.width}px`);
    this.canvas.style.setProperty("--columns", widths.join(" ") + (this.columns.some(grows) ? "" : " 1fr"));
    this.canvas.style.minWidth = `${this.columns.reduce((sum, column) => sum + column.width, 0)}px`;
    this.waiting = el("span", { class: "dl-soft", role: "status", hidden: true }, texts.loading);
    this.empty = el("p", { class: "dl-empty", hidden: true }, texts.empty);
    this.root.replaceChildren(el("h2", {}, this.model.get("label")), el("div", { class: "dl-bar" }, this.model.get("searchable") ? this.search : null, this.count, this.waiting), this.fault, this.scroll, this.empty);
  }

  renew() {
    const view = this.model.get("view");
    if (view.version === this.version) return;
    const keepsPlace = view.keeps_place && this.version >= 0;
    this.version = view.version;
    this.total = view.total;
    this.stale = this.blocks; // shown until the new rows are there: no flicker
    this.blocks = new Map();
    this.asked.clear();
    this.count.textContent = fill(this.texts.count, { count: shownNumber(this.model, this.total) });
    this.scroll.setAttribute("aria-rowcount", this.total + 1);
    this.heads.forEach((cell, place) => {
      const sorted = this.columns[place].name === view.sort;
      cell.setAttribute("aria-sort", sorted ? (view.descending ? "descending" : "ascending") : "none");
    });
    this.fault.hidden = true;
    this.rest();
    // No empty space below a short list; the last pixels are for the bar that scrolls sideways.
    this.scroll.style.height = `${Math.min(this.model.get("height"), Math.max(this.total, 1) * ROW + ROW + 18)}px`;
    this.canvas.style.height = `${Math.min(this.total * ROW, TALLEST) + ROW}px`;
    if (!keepsPlace) { this.scroll.scrollTop = 0; this.active = -1; }
    this.resized();
  }

  resized() {
    this.visible = Math.max(1, Math.floor((this.scroll.clientHeight - ROW) / ROW));
    this.body.style.height = `${this.scroll.clientHeight - ROW}px`;
    while (this.body.children.length < this.visible + 1) this.body.append(this.line());
    while (this.body.children.length > this.visible + 1) this.body.lastChild.remove();
    this.draw();
  }

  waits() {
    const busy = this.model.get("busy") > 0;
    this.root.setAttribute("aria-busy", String(busy));
    this.waiting.hidden = !busy;
    if (busy) this.fault.hidden = true;
    this.rest();
  }

  rest() {
    const empty = this.total === 0 && !(this.model.get("busy") > 0);
    this.empty.hidden = !empty;
    this.scroll.hidden = empty;
    if (empty) this.root.dataset.ready = String(this.version); // there are no rows to wait for
  }

  line() {
    const cells = this.columns.map((column, place) =>
      el("div", { class: `dl-cell dl-${column.kind}`, role: "gridcell", "aria-colindex": place + 1 }));
    const row = el("div", { class: "dl-row", role: "row", onclick: () => this.pick(Number(row.dataset.row)) }, ...cells);
    return row;
  }

  // The scroll bar is proportional where the whole list would be taller than browsers allow.
  span() { return Math.max(1, this.canvas.offsetHeight - this.scroll.clientHeight); }
  draw() {
    const most = Math.max(0, this.total - this.visible);
    this.first = Math.min(most, Math.round((this.scroll.scrollTop / this.span()) * most));
    [...this.body.children].forEach((row, place) => this.show(row, this.first + place));
    const from = Math.floor(this.first / BLOCK), to = Math.floor((this.first + this.visible) / BLOCK);
    for (let block = from; block <= to; block += 1) this.want(block);
    this.scroll.setAttribute("aria-activedescendant", this.active >= this.first && this.active <= this.first + this.visible ? `${this.id}-${this.active}` : "");
  }

  show(row, at) {
    const there = at < this.total;
    row.hidden = !there;
    if (!there) return;
    row.dataset.row = at;
    row.id = `${this.id}-${at}`;
    row.setAttribute("aria-rowindex", at + 2);
    row.setAttribute("aria-selected", String(at === this.active));
    const fresh = this.blocks.get(Math.floor(at / BLOCK));
    const values = (fresh || this.stale?.get(Math.floor(at / BLOCK)))?.[at % BLOCK];
    row.classList.toggle("dl-waiting", !fresh);
    this.columns.forEach((column, place) => {
      const value = values?.[place];
      const cell = row.children[place];
      const text = this.shown(column, value, values !== undefined);
      if (cell.textContent !== text) { cell.textContent = text; cell.title = text; }
      if (column.kind === "share") cell.style.setProperty("--part", Math.round((value ?? 0) * 100));
      if (column.states) cell.dataset.state = column.states[value] ? value : "";
    });
  }

  shown(column, value, known) {
    if (value === null || value === undefined) return known ? "" : "…";
    if (column.states) return column.states[value] ?? String(value);
    if (column.kind === "moment") return shownMoment(this.model, value);
    if (column.kind === "share") return new Intl.NumberFormat(locale(this.model), { style: "percent", maximumFractionDigits: 1 }).format(value);
    if (column.kind === "number") return shownNumber(this.model, value);
    return String(value);
  }

  want(block) {
    if (block * BLOCK >= this.total || this.blocks.has(block) || this.asked.has(block)) return;
    this.asked.set(block, true);
    // Dragging the scroll bar passes many blocks; only where it rests is asked for.
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const from = Math.floor(this.first / BLOCK), to = Math.floor((this.first + this.visible) / BLOCK);
      for (const each of [...this.asked.keys()]) {
        if (each < from || each > to) { this.asked.delete(each); continue; }
        if (this.asked.get(each)) {
          this.asked.set(each, false);
          this.model.send({ kind: "rows", version: this.version, first: each * BLOCK, count: BLOCK });
        }
      }
    }, this.blocks.size ? 25 : 0);
  }

  receive(content) {
    if (content.kind === "error") { this.fault.textContent = content.text; this.fault.hidden = false; return; }
    if (content.kind !== "rows" || content.version !== this.version) return;
    this.stale = undefined;
    this.blocks.set(content.first / BLOCK, content.rows);
    this.asked.delete(content.first / BLOCK);
    while (this.blocks.size > KEPT) this.blocks.delete(this.blocks.keys().next().value);
    this.draw();
    this.root.dataset.ready = String(this.version);
  }

  sort(name) {
    const view = this.model.get("view");
    const descending = view.sort === name && !view.descending;
    this.model.send({ kind: "sort", column: name, descending });
  }

  pick(at) {
    if (!(at >= 0 && at < this.total)) return;
    this.active = at;
    this.draw();
    this.model.send({ kind: "pick", version: this.version, row: at });
  }

  key(event) {
    if (event.target !== this.scroll) return;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: this.visible, PageUp: -this.visible, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") { this.pick(this.active); event.preventDefault(); return; }
    if (!(event.key in steps) || !this.total) return;
    event.preventDefault();
    this.active = Math.max(0, Math.min(this.total - 1, this.active + steps[event.key]));
    const most = Math.max(1, this.total - this.visible);
    let top = this.first;
    if (this.active < this.first) top = this.active;
    if (this.active >= this.first + this.visible) top = this.active - this.visible + 1;
    this.scroll.scrollTop = (top / most) * this.span();
    this.draw();
  }

  end() {
    this.model.off("msg:custom", this.onCustom);
    this.model.off("change:view", this.onView);
    this.model.off("change:busy", this.onBusy);
    this.sizes.disconnect();
    clearTimeout(this.timer);
  }
}

export default {
  render({ model, el: root }) {
    const view = new GridView(model, root);
    return () => view.end();
  },
};
