// The expressions where two experiments differ most. A classic script, as that of the gallery; data are text alone.
"use strict";
const wordmask = (() => {
const { MASK, make, known, fixed, share, word, raster, paint, fitted, need } = shared;
const PAGE = 12;  // expressions that come at once
const $ = (id) => document.getElementById(id);
let data, shown = [], drawn = 0;

const imageOf = (row) => data.referents.image[data.rows.referent[row]];
const splitOf = (row) => word(data.referents.split, data.rows.referent[row]);
const pair = () => data.pairs[Number($("pair").value) || 0];

function panel(row, title, note, mask, chunk) {
  const image = imageOf(row), wide = data.images.width[image], high = data.images.height[image];
  const [w, h] = fitted(wide, high, data.side, data.side), thumb = data.images.thumb[image];
  const canvas = make("canvas", { width: w, height: h }), picture = make("div", { className: "picture" });
  canvas.setAttribute("aria-hidden", "true");
  picture.style.aspectRatio = `${w} / ${h}`;
  const alt = `${title}, mask of “${data.rows.text[row]}”`;
  if (thumb) picture.append(make("img", { src: thumb, width: w, height: h, alt }));
  else picture.append(make("span", { className: "lost", textContent: "the image changed and cannot be shown" }));
  picture.append(canvas);
  if (mask < 0) picture.append(make("span", { className: "none", textContent: "no mask" }));
  else paint(canvas, [[raster(chunk.masks[mask], high, wide, h, w), MASK]]);
  return make("figure", {}, make("figcaption", {}, make("b", { textContent: title }),
    make("span", { textContent: note })), picture);
}
function noteOf(row, method) {
  const iou = data.iou[method] && share(data.iou[method][row]);
  return known(iou) ? `IoU ${fixed(iou)}` : `area ${fixed(100 * share(data.area[method][row]), 1)} %`;
}
function factsOf(row, iou, more, one) {
  const at = data.rows.referent[row];
  const told = one.masks.map((method, side) => {
    const choice = data.choices.find((each) => each.method === method);
    if (!choice) return "";
    const margin = known(choice.margin[at]) ? `, margin ${fixed(choice.margin[at])}` : "";
    return `${side ? one.second : one.first}: ${word(choice.reason, at) || "none"}${margin}`;
  });
  return [`IoU of both ${fixed(share(iou))}`, splitOf(row), word(data.referents.class, at), data.images.file[imageOf(row)],
    more && `${more} more expression${more > 1 ? "s" : ""} of it`, ...told].filter(Boolean).join(" · ");
}
function article(row, iou, more, one) {
  const title = make("h3", { textContent: data.rows.text[row] });
  const facts = make("p", { className: "facts", textContent: factsOf(row, iou, more, one) });
  if (data.gallery) facts.append(" · ", make("a", { textContent: "in the gallery",
    href: `${data.gallery}#row=${data.rows.id[row]}` }));
  const panels = make("div", { className: "panels" });
  need(Math.floor(imageOf(row) / data.imagesPerChunk)).then((chunk) => {
    if (!chunk) return;
    const masks = chunk.rows[row], truth = masks[data.methods.length];
    panels.append(...one.masks.map((method, side) =>
      panel(row, side ? one.second : one.first, noteOf(row, method), masks[method], chunk)));
    if (known(truth)) panels.append(panel(row, "ground truth", "", truth, chunk));
  });
  return make("article", { className: "pair" }, title, facts, panels);
}
function referent(rows) {
  const { experiments, masks } = data.several;
  const shown = make("article", { className: "said" });
  for (const row of rows) {
    const panels = make("div", { className: "panels" });
    shown.append(make("h3", { textContent: data.rows.text[row] }), panels);
    need(Math.floor(imageOf(row) / data.imagesPerChunk)).then((chunk) => {
      if (!chunk) return;
      const found = chunk.rows[row], truth = found[data.methods.length];
      panels.append(...masks.map((method, at) => panel(row, experiments[at], noteOf(row, method), found[method], chunk)));
      if (known(truth)) panels.append(panel(row, "ground truth", "", truth, chunk));
    });
  }
  return shown;
}
function more() {
  const one = pair(), next = shown.slice(drawn, drawn + PAGE);
  $("apart").append(...next.map((at) => article(one.rows[at], one.ious[at], one.more[at], one)));
  drawn += next.length;
  $("more").hidden = drawn >= shown.length;
}
function refresh() {
  const one = pair(), split = $("split").value;
  shown = one ? one.rows.map((_, at) => at).filter((at) => !split || splitOf(one.rows[at]) === split) : [];
  drawn = 0;
  $("apart").replaceChildren();
  const all = one ? one.differing : 0;
  $("count").textContent = !all ? "No mask differs"
    : `${shown.length} pairs of masks; in all ${all.toLocaleString("en")} expressions have two that differ`;
  more();
}
function follow() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  $("pair").value = wanted.get("pair") || "0";
  $("split").value = wanted.get("split") || "";
  refresh();
}
function index(given) {
  data = given;
  $("several")?.append(...data.several.referents.map(referent));
  $("filters").addEventListener("change", () => {
    history.replaceState(null, "", `#pair=${$("pair").value}&split=${encodeURIComponent($("split").value)}`);
    refresh();
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("more").addEventListener("click", more);
  addEventListener("hashchange", follow);
  follow();
}
return { index, chunk: shared.chunk };
})();
