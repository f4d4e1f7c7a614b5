// The page: files go to the server of this machine one by one, and what comes back is shown.

import { findingCard, findingsOf } from "./bars.js";
import { Batch } from "./batch.js";
import { openCard } from "./card.js";
import { Pane, pixels } from "./picture.js";
import { begin, bytes, forget, get, Refused, send } from "./requests.js";
import { byId, count, make, number, positive, remarks, shownNumber, verdict } from "./words.js";

const WHOLE = { window: 256, level: 128, inverted: false }; // all grey levels, as the file has them
const ZOOMS = [1, 1.5, 2, 3, 4];
const AT_ONCE = 2; // files that are on their way
const NEAR = 6; // radiographs whose pixels the page keeps
const SUFFIXES = /\.(dcm|dicom|png|jpe?g|zip)$|\/[^./]+$/i; // of files in a folder

const state = {
  ...WHOLE,
  zoom: 1,
  map: "",
  point: "",
  opacities: new Map(),
  unfolded: false,
  opacity: (name) => state.opacities.get(name) ?? about.opacity,
  unfold: (open) => {
    state.unfolded = open;
  },
};
let about;
let session;
let batch;
let findings;
let panes = [];
const data = new Map(); // pixels and maps that were asked for, by their addresses, the latest last

// --- files ---------------------------------------------------------------------------------------

const queue = [];
let counts = { files: 0, done: 0, read: 0, refused: 0 };
let active = 0;
let added = 0;

function say(text) {
  byId("status").textContent = text;
}

function report() {
  const { files, done, read, refused } = counts;
  const busy = done < files;
  byId("running").hidden = !busy;
  byId("progress").max = files || 1;
  byId("progress").value = done;
  const refusals = refused ? `, ${refused} refused` : "";
  say(busy ? `Reading: ${done} of ${count(files, "file")}${refusals}` : `${read} read${refusals}`);
}

// place: of the file among all that were added.
function told(image, place) {
  counts[image.reason ? "refused" : "read"] += 1;
  byId("batch").hidden = false;
  batch.add({ ...image, added: place });
}

const refuse = (name, reason, place) => told({ name, reason, answers: [] }, place);

function add(files) {
  if (counts.done === counts.files) counts = { ...counts, files: 0, done: 0 };
  for (const [file, name] of files) {
    const { limits } = about;
    const most = /\.zip$/i.test(name) ? limits.archive : limits.file;
    const place = added;
    added += 1;
    counts.files += 1;
    if (batch.images.length + queue.length >= limits.files) {
      counts.done += 1;
      refuse(name, `more than ${limits.files} radiographs: clear the list first`, place);
    } else if (file.size > most) {
      counts.done += 1;
      refuse(name, `too large: a file may have ${Math.floor(most / 2 ** 20)} MiB`, place);
    } else queue.push([file, name, place]);
  }
  report();
  while (active < AT_ONCE && queue.length) work();
}

async function work() {
  active += 1;
  while (queue.length) {
    const [file, name, place] = queue.shift();
    const mine = session;
    try {
      await send(mine, file, name, (image) => mine === session && told(image, place));
    } catch (error) {
      if (mine === session) await failed(name, error, place);
    }
    if (mine === session) {
      counts.done += 1;
      report();
    }
  }
  active -= 1;
}

async function failed(name, error, place) {
  if (error.cause === 410) {
    await renew();
    say("These radiographs were not looked at for an hour and are gone. Add them again.");
  } else refuse(name, error instanceof Refused ? error.message : "the server does not answer: is chexviz view still running?", place);
}

// Forget all radiographs, here and there, and start anew.
async function renew() {
  forget(session);
  session = await begin();
  queue.length = 0;
  counts = { files: 0, done: 0, read: 0, refused: 0 };
  data.clear();
  batch.clear();
  report();
  say("The list is empty.");
  for (const id of ["batch", "viewing", "findings"]) byId(id).hidden = true;
}

// The files of what was dropped, those in folders too.
async function dropped(items) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  for (const entry of entries) await walk(entry, found, true);
  return found;
}

async function walk(entry, found, named) {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const hidden = entry.name.startsWith(".") || entry.name.toUpperCase() === "DICOMDIR";
    if (!named && (hidden || !SUFFIXES.test(entry.fullPath))) return;
    found.push([await new Promise((done, not) => entry.file(done, not)), path]);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, not) => reader.readEntries(done, not));
    if (!some.length) return;
    for (const one of some) await walk(one, found, false);
  }
}

// --- the radiograph ------------------------------------------------------------------------------

async function fetched(address, convert) {
  const kept = data.get(address) ?? bytes(address).then(convert);
  data.delete(address);
  data.set(address, kept);
  while (data.size > NEAR * (1 + 2 * about.models.length)) data.delete(data.keys().next().value);
  return kept;
}

const address = (image) => `sessions/${session}/images/${image.id}`;

// Show what is chosen. What was asked for a radiograph or a map that is no longer is let go.
async function show() {
  const image = batch.selected;
  byId("viewing").hidden = byId("findings").hidden = !image || Boolean(image.reason);
  if (!image || image.reason) {
    if (image) say(`${image.name}: refused: ${image.reason}`);
    return;
  }
  const { map } = state;
  const asked = about.models.map((model, index) =>
    map && map in image.answers[index].findings
      ? fetched(`${address(image)}/maps/${index}/${encodeURIComponent(map)}`, (buffer) => new Uint8Array(buffer))
      : null,
  );
  try {
    const grey = await fetched(`${address(image)}/pixels`, (buffer) => pixels(buffer, image.bits));
    const heats = await Promise.all(asked);
    if (image !== batch.selected || map !== state.map) return;
    shown = { image, grey, heats };
    paint();
  } catch (error) {
    data.clear();
    if (image === batch.selected) await failed(image.name, error, image.added);
  }
}

let shown = null;
let waiting = 0;

function repaint() {
  waiting ||= requestAnimationFrame(() => {
    waiting = 0;
    if (shown) paint();
  });
}

function paint() {
  const { image, grey, heats } = shown;
  const look = { ...state, opacity: state.map ? state.opacity(state.map) : 0 };
  panes.forEach((pane, index) => {
    pane.show(image, grey, heats[index], about.colours, look, mapWords(heats[index], index));
    pane.element.hidden = index > 0 && !heats[index];
  });
  byId("viewing").dataset.shown = image.id;
}

function mapWords(heat, index) {
  const finding = findings.find((one) => one.name === state.map);
  if (!finding) return "";
  if (!finding.of[index]) return `no map of ${finding.title}`;
  return heat.some((value) => value) ? `map of ${finding.title}, scaled to its own maximum` : `${finding.title}: no activation`;
}

function chosen(image) {
  if (image.reason) {
    show();
    return;
  }
  const [first] = image.answers;
  byId("name").textContent = image.name;
  byId("about").textContent = [first.view && `view ${first.view}`, `${first.width} × ${first.height} pixels`].filter(Boolean).join(", ");
  byId("remarks").replaceChildren(...remarks(image).map((text) => make("span", { class: "remark" }, text)));
  drawCards();
  show();
}

function drawCards() {
  const image = batch.selected;
  if (!image || image.reason) return;
  const active = document.activeElement;
  const held = active?.closest?.(".finding")?.dataset.finding;
  const kind = active?.tagName;
  byId("cards").replaceChildren(
    ...findings.map((finding) => findingCard(finding, image, about.models, state, chooseMap, fade)),
  );
  if (held) byId("cards").querySelector(`[data-finding="${CSS.escape(held)}"] ${kind}`)?.focus();
}

function chooseMap(name) {
  state.map = name;
  drawCards();
  const finding = findings.find((one) => one.name === name);
  say(finding ? `Map of ${finding.title} is shown` : "No map is shown");
  show();
}

function fade(name, opacity) {
  state.opacities.set(name, opacity);
  if (state.map === name) repaint();
  else chooseMap(name);
}

function tune(changes) {
  const limited = { ...state, ...changes };
  state.window = Math.min(256, Math.max(1, limited.window));
  state.level = Math.min(255, Math.max(0, limited.level));
  state.inverted = limited.inverted;
  drawControls();
}

function resize(by) {
  const place = ZOOMS.indexOf(state.zoom) + by;
  state.zoom = ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, place))];
  drawControls();
}

function choosePoint(name) {
  state.point = batch.point = name;
  batch.draw();
  drawCards();
}

// What the sliders and buttons below the picture say.
function drawControls() {
  byId("window").value = state.window;
  byId("level").value = state.level;
  byId("window-value").textContent = Math.round(state.window);
  byId("level-value").textContent = Math.round(state.level);
  byId("invert").setAttribute("aria-pressed", String(state.inverted));
  byId("zoom").textContent = `${state.zoom}×`;
  repaint();
}

// --- keys ----------------------------------------------------------------------------------------

function numbered(place) {
  const finding = findings[place];
  if (finding) chooseMap(state.map === finding.name ? "" : finding.name);
}

function fadeBy(by) {
  if (!state.map) return;
  state.opacities.set(state.map, Math.min(1, Math.max(0, state.opacity(state.map) + by)));
  drawCards();
  repaint();
}

const KEYS = [
  [["?"], "this list", () => byId("help").showModal()],
  [["u"], "add radiographs", () => byId("picker").click()],
  [["j"], "next radiograph", () => batch.step(1)],
  [["k"], "previous radiograph", () => batch.step(-1)],
  [["1", "…", "9"], "show or hide where a finding is seen", (key) => numbered(Number(key) - 1)],
  [["h"], "hide the map", () => chooseMap("")],
  [[","], "map more transparent", () => fadeBy(-0.1)],
  [["."], "map less transparent", () => fadeBy(0.1)],
  [["a"], "narrower window (more contrast)", () => tune({ window: state.window - 8 })],
  [["d"], "wider window (less contrast)", () => tune({ window: state.window + 8 })],
  [["w"], "higher level (darker)", () => tune({ level: state.level + 4 })],
  [["s"], "lower level (brighter)", () => tune({ level: state.level - 4 })],
  [["i"], "invert", () => tune({ inverted: !state.inverted })],
  [["r"], "grey levels as the file has them", () => tune(WHOLE)],
  [["+"], "larger", () => resize(1)],
  [["-"], "smaller", () => resize(-1)],
  [["c"], "model card", () => openCard(about.models)],
  [["t"], "light or dark", () => turn()],
];
const MORE = [
  [["↑", "↓", "Home", "End"], "in the list: choose a radiograph"],
  [["←", "→"], "on a slider: change it"],
  [["Tab"], "next button, slider or list"],
  [["Esc"], "close a window of the page"],
];

function pressed(event) {
  if (!byId("shortcuts").checked || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]") || event.target.closest("select, textarea, input:not([type=range])")) return;
  const key = event.key.toLowerCase();
  const found = KEYS.find(([keys]) => (keys.includes("…") ? /^[1-9]$/.test(key) : keys[0] === key || (key === "=" && keys[0] === "+")));
  if (!found) return;
  event.preventDefault();
  found[2](key);
}

function listKeys() {
  const rows = [...KEYS, ...MORE].map(([keys, does]) =>
    make("tr", {}, make("th", { scope: "row" }, ...keys.flatMap((key) => [make("kbd", {}, key), " "])), make("td", {}, does)),
  );
  byId("keys").tBodies[0].replaceChildren(...rows);
}

// --- light and dark ------------------------------------------------------------------------------

const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function turn(dark = !isDark()) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").setAttribute("aria-pressed", String(dark));
}

// --- the beginning -------------------------------------------------------------------------------

function listen() {
  byId("choose").addEventListener("click", () => byId("picker").click());
  byId("picker").addEventListener("change", (event) => {
    add([...event.target.files].map((file) => [file, file.name]));
    event.target.value = "";
  });
  // A file that misses the field must not replace the page.
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
  addEventListener("dragover", () => byId("drop").classList.add("over"));
  addEventListener("dragleave", (event) => event.relatedTarget || byId("drop").classList.remove("over"));
  addEventListener("drop", async (event) => {
    byId("drop").classList.remove("over");
    add(await dropped(event.dataTransfer.items));
  });
  byId("clear").addEventListener("click", () => renew().then(() => byId("choose").focus()));
  byId("point").addEventListener("change", (event) => choosePoint(event.target.value));
  for (const name of ["window", "level"]) {
    byId(name).addEventListener("input", (event) => tune({ [name]: Number(event.target.value) }));
  }
  byId("invert").addEventListener("click", () => tune({ inverted: !state.inverted }));
  byId("reset").addEventListener("click", () => tune(WHOLE));
  byId("smaller").addEventListener("click", () => resize(-1));
  byId("larger").addEventListener("click", () => resize(1));
  byId("open-card").addEventListener("click", () => openCard(about.models));
  byId("open-help").addEventListener("click", () => byId("help").showModal());
  byId("theme").addEventListener("click", () => turn());
  for (const button of document.querySelectorAll("dialog .close")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  addEventListener("keydown", pressed);
  addEventListener("pagehide", () => forget(session));
  // A page that comes back from the browser's cache has a session that is over.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

function describe() {
  const titles = about.models.map((model) => `${model.title} (bundle ${model.name})`);
  byId("models").textContent = titles.join(" beside ");
  byId("research").textContent = about.research;
  const marks = [...new Set(about.models.map((model) => model.mark).filter(Boolean))];
  byId("mark").textContent = marks.join("; ");
  byId("mark").hidden = !marks.length;
  document.title = marks.length ? "CheXViz (DEMO)" : "CheXViz";
  const points = [...new Set(about.models.flatMap((model) => model.points))];
  byId("point").replaceChildren(...points.map((name) => make("option", { value: name }, name)));
  byId("point").closest("label").hidden = !points.length;
  state.point = batch.point = points[0] ?? "";
}

async function start() {
  about = await get("about");
  findings = findingsOf(about.models);
  batch = new Batch(byId("heads"), byId("rows"), about.models[0].findings, chosen);
  const titled = about.models.length > 1;
  panes = about.models.map((model) =>
    new Pane(titled ? model.title : "", (across, down) => tune({ window: state.window + across / 2, level: state.level + down / 2 })),
  );
  byId("panes").replaceChildren(...panes.map((pane) => pane.element));
  byId("panes").classList.toggle("two", titled);
  describe();
  listKeys();
  turn(isDark());
  drawControls();
  session = await begin();
  listen();
  document.body.dataset.ready = "yes";
}

start().catch((error) => say(`The page could not start: ${error.message}`));
