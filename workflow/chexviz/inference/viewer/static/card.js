// The model card of a bundle. The server gives it as nodes of known elements: nothing is parsed.

import { get } from "./requests.js";
import { byId, make } from "./words.js";

const ELEMENTS = new Set(["h1", "h2", "p", "ul", "li", "div", "table", "thead", "tbody", "tr", "th", "td", "br"]);
const LOWER = { h1: "h3", h2: "h4" }; // below the title of the dialog

function build(node) {
  if (typeof node === "string") return document.createTextNode(node);
  const [tag, attributes, inside] = node;
  if (!ELEMENTS.has(tag)) return document.createTextNode("");
  const element = document.createElement(LOWER[tag] || tag);
  if (attributes.colspan) element.colSpan = Number(attributes.colspan);
  if (attributes.class) element.className = attributes.class;
  element.append(...inside.map(build));
  return element;
}

async function show(model) {
  byId("card-text").replaceChildren(...(await get(`cards/${model}`)).map(build));
  byId("card-text").scrollTop = 0;
  for (const [index, button] of [...byId("card-tabs").children].entries()) {
    button.setAttribute("aria-pressed", String(index === model));
  }
}

export async function openCard(models) {
  if (models.length > 1 && !byId("card-tabs").children.length) {
    models.forEach((model, index) => {
      const button = make("button", { type: "button" }, model.title);
      button.addEventListener("click", () => show(index));
      byId("card-tabs").append(button);
    });
  }
  await show(0);
  if (!byId("card").open) byId("card").showModal();
}
