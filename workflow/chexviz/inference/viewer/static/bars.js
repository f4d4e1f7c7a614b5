// What the models say of each finding, as bars, and how good they were where they were tested.

import { bracketed, count, make, number, positive, shownNumber, verdict } from "./words.js";

const percent = (share) => `${100 * Math.min(1, Math.max(0, share))}%`;

// The findings of all models, each once: its name, title, and for each model what it has of it.
export function findingsOf(models) {
  const found = new Map();
  models.forEach((model, index) => {
    for (const finding of model.findings) {
      if (!found.has(finding.name)) {
        found.set(finding.name, { name: finding.name, title: finding.title, of: models.map(() => null) });
      }
      found.get(finding.name).of[index] = finding;
    }
  });
  return [...found.values()];
}

// One model's number of a finding as a bar, with its operating point.
function meter(finding, said, point, label) {
  const value = shownNumber(said);
  const kind = said.probability === null ? "score" : "probability";
  const mark = finding.points.find((one) => one.name === point);
  const is = positive(finding, said, point);
  const fill = make("div", { class: is ? "fill positive" : "fill" });
  fill.style.width = percent(value);
  const bar = make("div", { class: "meter" }, fill);
  bar.setAttribute("role", "meter");
  bar.setAttribute("aria-valuemin", 0);
  bar.setAttribute("aria-valuemax", 1);
  bar.setAttribute("aria-valuenow", value.toFixed(3));
  bar.setAttribute("aria-valuetext", `${kind} ${number(value)}, ${verdict(is)}`);
  bar.setAttribute("aria-label", label);
  if (mark) {
    const tick = make("div", { class: "tick" });
    tick.style.left = percent(mark.at);
    bar.append(tick);
  }
  const at = mark ? `${point} at ${number(mark.at)}` : `no operating point ${point}`;
  const head = make(
    "p",
    { class: "said" },
    make("span", { class: "value" }, number(value)),
    ` ${kind}`,
    make("span", { class: is ? "flag positive" : "flag" }, verdict(is)),
  );
  const foot = make("p", { class: "small" }, mark ? `Mark: ${at}. ` : `There is ${at}. `);
  if (!finding.calibrated) foot.append(`A score is no probability: ${finding.note || "nothing calibrated it"}.`);
  return [head, bar, foot];
}

// An interval of AUROC between 0.5, which is chance, and 1.
function interval([value, low, high]) {
  const place = (one) => percent((one - 0.5) / 0.5);
  const drawn = make("span", { class: "interval", "aria-hidden": "true" });
  if (low !== null) {
    const line = make("span", { class: "line" });
    line.style.left = place(low);
    line.style.right = percent(1 - (Math.max(high, 0.5) - 0.5) / 0.5);
    drawn.append(line);
  }
  const dot = make("span", { class: "dot" });
  dot.style.left = place(value);
  drawn.append(dot);
  return drawn;
}

// The tests that a radiograph is told of: of all images of a site, and of the groups it is of.
function relevant(finding, groups) {
  const of = (site) => finding.tested.filter((test) => test.site === site);
  return [...new Set(finding.tested.map((test) => test.site))]
    .flatMap(of)
    .filter((test) => test.attribute === "all" || groups[test.attribute] === test.group);
}

const groupTitle = (test) => (test.attribute === "all" ? "all images" : `${test.attribute} ${test.group}`);

function tests(finding, groups) {
  const rows = relevant(finding, groups);
  if (!rows.length) return make("p", { class: "small" }, "The bundle says of no test of this finding.");
  const body = make("tbody");
  let site = "";
  for (const test of rows) {
    if (test.site !== site) {
      site = test.site;
      body.append(make("tr", {}, make("th", { colSpan: 3, scope: "rowgroup" }, site)));
    }
    const { auroc, sensitivity, specificity } = test.measures;
    const cell = make("td", {}, bracketed(auroc));
    if (auroc && auroc[0] !== null) cell.append(interval(auroc));
    if (sensitivity && sensitivity[0] !== null) {
      cell.append(make("span", { class: "small block" }, `sensitivity ${bracketed(sensitivity)}`));
      cell.append(make("span", { class: "small block" }, `specificity ${bracketed(specificity)}`));
    }
    body.append(
      make(
        "tr",
        { class: test.attribute === "all" ? "" : "group" },
        make("td", {}, groupTitle(test)),
        make("td", {}, `${count(test.images, "image")}, ${test.positives.toLocaleString("en")} positive`),
        cell,
      ),
    );
  }
  const head = make("tr", {}, ...["Tested on", "How many", "AUROC (95 % interval)"].map((text) => make("th", { scope: "col" }, text)));
  const untold = Object.keys(groups).length ? "" : "The file does not tell view, sex or age: its own groups are not known.";
  return make(
    "div",
    { class: "scroll" },
    make("table", { class: "tests" }, make("thead", {}, head), body),
    untold && make("p", { class: "small" }, untold),
  );
}

// The card of a finding. map: whether it is shown; chosen, faded: what is done when that changes.
export function findingCard(finding, image, models, state, chosen, faded) {
  const shown = state.map === finding.name;
  const toggle = make("button", { type: "button", class: "where", "aria-pressed": String(shown) }, "Show where");
  toggle.setAttribute("aria-label", `Show where ${finding.title} is seen`);
  toggle.addEventListener("click", () => chosen(shown ? "" : finding.name));
  const slider = make("input", { type: "range", min: 0, max: 100, value: Math.round(100 * state.opacity(finding.name)) });
  slider.setAttribute("aria-label", `Opacity of the map of ${finding.title}, percent`);
  slider.addEventListener("input", () => faded(finding.name, slider.value / 100));
  const parts = finding.of.map((of, index) => {
    if (!of) return make("p", { class: "small" }, `${models[index].title} does not know it.`);
    const answer = image.answers[index];
    const label = models.length > 1 ? `${finding.title} by ${models[index].title}` : finding.title;
    const title = models.length > 1 ? [make("h4", {}, models[index].title)] : [];
    const folded = make(
      "details",
      { open: state.unfolded, class: "tested" },
      make("summary", {}, "How it was tested"),
      tests(of, answer.groups),
    );
    folded.addEventListener("toggle", () => state.unfold(folded.open));
    return make("div", { class: "by" }, ...title, ...meter(of, answer.findings[of.name], state.point, label), folded);
  });
  const card = make(
    "article",
    { class: "finding", "aria-label": finding.title },
    make("div", { class: "bar" }, make("h3", {}, finding.title), toggle),
    ...parts,
    make("label", { class: "fade" }, make("span", {}, "Map"), slider),
  );
  card.dataset.finding = finding.name;
  return card;
}
