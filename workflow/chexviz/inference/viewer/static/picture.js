// A radiograph on a canvas: window and level, inversion, and a map over it.

import { make } from "./words.js";

const GREY = 255; // the grey levels that sliders speak of are those of 8 bits

// The grey level 0 to 255 on the screen of each stored level.
export function table(bits, { window, level, inverted }) {
  const levels = 2 ** bits;
  const scale = GREY / (levels - 1);
  const made = new Uint8ClampedArray(levels);
  // DICOM's linear window (PS3.3 C.11.2.1.2.1): the widest one leaves every level as it is.
  const width = Math.max(window - 1, 1e-6);
  for (let stored = 0; stored < levels; stored += 1) {
    const share = (stored * scale - (level - 0.5)) / width + 0.5;
    made[stored] = GREY * (inverted ? 1 - share : share);
  }
  return made;
}

// The pixels of a radiograph as they come from the server, lowest byte first.
export function pixels(buffer, bits) {
  return bits === 8 ? new Uint8Array(buffer) : new Uint16Array(buffer);
}

// Colour the radiograph and the map over it. look: window, level, inverted, opacity (of the map's
// maximum; lower values are more transparent, zero is clear).
export function paint(image, data, heat, colours, look) {
  const grey = table(image.bits, look);
  const rgba = new Uint8ClampedArray(4 * data.length);
  for (let place = 0; place < data.length; place += 1) {
    const value = grey[data[place]];
    const at = 4 * place;
    const seen = heat ? heat[place] : 0;
    if (seen) {
      const share = (look.opacity * seen) / 255;
      const colour = colours[seen];
      rgba[at] = value + share * (colour[0] - value);
      rgba[at + 1] = value + share * (colour[1] - value);
      rgba[at + 2] = value + share * (colour[2] - value);
    } else {
      rgba[at] = rgba[at + 1] = rgba[at + 2] = value;
    }
    rgba[at + 3] = 255;
  }
  return rgba;
}

// A place of the page that shows a radiograph as one model has seen it.
export class Pane {
  constructor(title, tuned) {
    this.canvas = make("canvas", { role: "img" });
    this.frame = make("div", { class: "frame", tabIndex: 0, role: "region" }, this.canvas);
    this.caption = make("figcaption");
    this.element = make("figure", {}, this.frame, this.caption);
    this.title = title;
    this.listen(tuned);
  }

  // A drag changes window (across) and level (down). Fingers scroll the page instead.
  listen(tuned) {
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch" || event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.held = true;
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.held) tuned(event.movementX, event.movementY);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(name, () => {
        this.held = false;
      });
    }
  }

  show(image, data, heat, colours, look, words) {
    const [height, width] = image.shown;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const rgba = paint(image, data, heat, colours, look);
    this.canvas.getContext("2d").putImageData(new ImageData(rgba, width, height), 0, 0);
    this.canvas.style.setProperty("--zoom", look.zoom);
    this.frame.style.aspectRatio = `${width} / ${height}`;
    this.canvas.setAttribute("aria-label", `${image.name}. ${words}`);
    this.frame.setAttribute("aria-label", `Picture${this.title ? ` of ${this.title}` : ""}`);
    this.caption.textContent = words && [this.title, words].filter(Boolean).join(": ");
  }
}
