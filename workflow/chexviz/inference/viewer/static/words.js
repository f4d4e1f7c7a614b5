// Elements and numbers. Texts become text nodes alone, whatever is in them.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const number = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));

// A measure with its interval: "0.773 (0.637–0.869)".
export function bracketed(measure) {
  if (!measure || measure[0] === null) return "–";
  const [value, low, high] = measure;
  return low === null ? `${value.toFixed(3)}, no interval` : `${value.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`;
}

export const count = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;

// What a finding's number is: the probability if there is one, else the score.
export const shownNumber = (said) => (said.probability === null ? said.score : said.probability);

// Whether a score reaches an operating point; null where the finding has no such point.
export function positive(finding, said, point) {
  const found = finding.points.find((one) => one.name === point);
  return found ? said.score >= found.threshold : null;
}

export const verdict = (is) => (is === null ? "no operating point" : is ? "positive" : "negative");

// All remarks about a radiograph, each once.
export function remarks(image) {
  return [...new Set(image.answers.flatMap((answer) => answer.quality))];
}
