// What the gallery and the comparison share: small parts, masks as pixels, and the files of masks. A classic script.
"use strict";
const shared = (() => {
const COLOURS = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0],
  [204, 121, 167], [255, 255, 255]];  // Okabe and Ito's, told apart by everyone
const MASK = [255, 0, 170];  // seldom in a photograph
function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}
const known = (value) => value !== null && value !== undefined;
const fixed = (value, digits = 2) => known(value) ? value.toFixed(digits) : "–";
const share = (value) => known(value) ? value / 1000 : null;
const mean = (values) => values.length ? values.reduce((sum, one) => sum + one, 0) / values.length : null;
const word = (column, at) => column.words[column.codes[at]];
function runsOf(text) {  // COCO's compressed run lengths: column by column, beginning with background
  const runs = [];
  for (let at = 0; at < text.length;) {
    let value = 0, bits = 0, code;
    do {
      code = text.charCodeAt(at++) - 48;
      value |= (code & 31) << bits;
      bits += 5;
    } while (code & 32);
    if (code & 16 && bits < 32) value |= -1 << bits;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}
function raster(text, height, width, h, w) {  // the mask at (h, w): the pixel below the middle of each
  const runs = runsOf(text), pixels = new Uint8Array(h * w);
  let run = 0, end = runs[0], before = -1;
  for (let x = 0; x < w; x++) {
    const column = Math.floor((x + 0.5) * width / w) * height;
    if (column === before) {  // a small image, enlarged: runs are walked through but once
      for (let at = x; at < h * w; at += w) pixels[at] = pixels[at - 1];
      continue;
    }
    before = column;
    for (let y = 0; y < h; y++) {
      const at = column + Math.floor((y + 0.5) * height / h);
      while (at >= end && run + 1 < runs.length) end += runs[++run];
      pixels[y * w + x] = run & 1;
    }
  }
  return pixels;
}
function paint(canvas, layers, inside = 110) {  // layers: [pixels, colour]; outlines are opaque
  const { width: w, height: h } = canvas, context = canvas.getContext("2d"), image = context.createImageData(w, h);
  for (const [pixels, colour] of layers)
    for (let y = 0, at = 0; y < h; y++)
      for (let x = 0; x < w; x++, at++) {
        if (!pixels[at]) continue;
        const rim = !x || !y || x === w - 1 || y === h - 1 || !pixels[at - 1] || !pixels[at + 1] || !pixels[at - w]
          || !pixels[at + w];
        if (!rim && image.data[4 * at + 3] === 255) continue;
        image.data.set(colour, 4 * at);
        image.data[4 * at + 3] = rim ? 255 : inside;
      }
  context.putImageData(image, 0, 0);
}
function fitted(wide, high, width, height) {  // a size in a box; no pixel is enlarged
  const scale = Math.min(width / wide, height / high);
  return [Math.max(1, Math.round(wide * scale)), Math.max(1, Math.round(high * scale))];
}
const chunks = new Map(), waiting = new Map();
function need(number) {  // the file of masks, once
  if (chunks.has(number)) return Promise.resolve(chunks.get(number));
  if (!waiting.has(number))
    waiting.set(number, new Promise((resolve) => {
      const script = make("script", { src: `data/masks-${String(number).padStart(5, "0")}.js` });
      script.onload = script.onerror = () => { script.remove(); resolve(chunks.get(number)); waiting.delete(number); };
      document.head.append(script);
    }));
  return waiting.get(number);
}
const chunk = (number, content) => chunks.set(number, content);
return { COLOURS, MASK, make, known, fixed, share, mean, word, raster, paint, fitted, chunks, need, chunk };
})();
