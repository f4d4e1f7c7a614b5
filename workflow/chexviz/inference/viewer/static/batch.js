// The list of a batch: a row for each file, sorted as asked, chosen by mouse and arrow keys.

import { make, number, positive, remarks, shownNumber } from "./words.js";

export class Batch {
  // findings: of the first model, whose numbers the list has.
  constructor(heads, rows, findings, chosen) {
    Object.assign(this, { heads, rows, findings, chosen });
    this.images = [];
    this.selected = null;
    this.order = { key: "added", down: false };
    this.rows.addEventListener("keydown", (event) => this.pressed(event));
  }

  // image.added: its place in the order in which files were added.
  add(image) {
    this.images.push(image);
    // The first file is shown, though a later one may be read before it, until somebody chooses.
    const first = !this.selected || (!this.touched && image.added < this.selected.added);
    if (first && !image.reason) this.select(image);
    else if (!this.waiting) {
      this.waiting = requestAnimationFrame(() => this.draw());
    }
  }

  clear() {
    this.images = [];
    this.selected = null;
    this.touched = false;
    this.draw();
  }

  // What stands in the first column, and may sort it, and then the numbers.
  get columns() {
    return [
      [{ key: "name", title: "File" }, { key: "remark", title: "Remarks" }],
      ...this.findings.map((finding) => [{ key: finding.name, title: finding.title }]),
    ];
  }

  // What a row is sorted by: refused files have no number, and come last either way.
  value(image, key) {
    if (key === "added") return image.added;
    if (key === "name") return image.name.toLowerCase();
    if (key === "remark") return image.reason ? `refused ${image.reason}` : remarks(image).join("; ");
    return image.reason ? null : shownNumber(image.answers[0].findings[key]);
  }

  sorted() {
    const { key, down } = this.order;
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    return [...this.images].sort((one, other) => {
      const [a, b] = [this.value(one, key), this.value(other, key)];
      if (a === null || b === null) return (a === null) - (b === null) || one.added - other.added;
      const way = typeof a === "string" ? compare(a, b) : a - b;
      return (down ? -way : way) || one.added - other.added;
    });
  }

  sortBy(key) {
    const number = !["name", "remark"].includes(key);
    const again = this.order.key === key;
    this.order = { key, down: again ? !this.order.down : number };
    this.draw();
    this.heads.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
  }

  draw() {
    cancelAnimationFrame(this.waiting);
    this.waiting = 0;
    const focused = this.rows.contains(document.activeElement);
    this.heads.replaceChildren(make("tr", {}, ...this.columns.map((column) => this.head(column))));
    this.rows.replaceChildren(...this.sorted().map((image) => this.row(image)));
    if (focused) this.focus();
  }

  head(sorts) {
    const mine = sorts.some(({ key }) => key === this.order.key);
    const sort = mine ? (this.order.down ? "descending" : "ascending") : "none";
    return make("th", { scope: "col", "aria-sort": sort }, ...sorts.map((one) => this.sorter(one)));
  }

  sorter({ key, title }) {
    const arrow = this.order.key === key ? (this.order.down ? " ▼" : " ▲") : "";
    const button = make("button", { type: "button", title: `Sort by ${title}` }, title, make("span", { "aria-hidden": "true" }, arrow));
    button.dataset.key = key;
    button.addEventListener("click", () => this.sortBy(key));
    return button;
  }

  row(image) {
    const chosen = image === this.selected;
    const aside = image.reason ? `refused: ${image.reason}` : remarks(image).join("; ");
    const file = make("th", { scope: "row", class: "file" }, image.name, " ", make("span", { class: "aside" }, aside));
    const numbers = this.findings.map((finding) => this.number(image, finding));
    const row = make("tr", { "aria-selected": String(chosen), tabIndex: -1 }, file, ...numbers);
    row.classList.toggle("refused", Boolean(image.reason));
    if (chosen || (!this.selected && image === this.sorted()[0])) row.tabIndex = 0;
    row.addEventListener("click", () => this.choose(image, true));
    image.row = row;
    return row;
  }

  number(image, finding) {
    if (image.reason) return make("td", {});
    const said = image.answers[0].findings[finding.name];
    const flag = positive(finding, said, this.point)
      ? [make("span", { class: "star", "aria-hidden": "true" }, "*"), make("span", { class: "unseen" }, " positive")]
      : [];
    return make("td", { class: "number" }, number(shownNumber(said)), ...flag);
  }

  select(image, focus = false) {
    this.selected = image;
    this.draw();
    if (focus) this.focus();
    this.chosen(image);
  }

  choose(image, focus) {
    this.touched = true;
    this.select(image, focus);
  }

  focus() {
    this.selected?.row.focus({ preventScroll: true });
    this.selected?.row.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  // The radiograph so many rows further; the first or last one at an end.
  step(by, focus = false) {
    const order = this.sorted();
    if (!order.length) return;
    const place = order.indexOf(this.selected) + by;
    this.choose(order[Math.min(order.length - 1, Math.max(0, place))], focus);
  }

  pressed(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      event.preventDefault();
      this.step(steps[event.key], true);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      const at = [...this.rows.children].indexOf(document.activeElement);
      if (at >= 0) this.choose(this.sorted()[at], true);
    }
  }
}
