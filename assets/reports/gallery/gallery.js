// The gallery of a data set. A classic script: a page on the disk loads no modules and fetches nothing.
// Whatever people typed reaches the page as text (textContent), never as markup or as a path.
"use strict";
const wordmask = (() => {
const { COLOURS, MASK, make, known, fixed, share, mean, word, raster, paint, chunks, need } = shared;
const HEAT = [255, 60, 0];
const SETTLED = 70, TYPED = 120;  // milliseconds without scrolling, or typing
const $ = (id) => document.getElementById(id);
let data, count, haystack, shown = [], selected = -1, reasonsOf = -1;
let state = {}, pool = [], rowHeight = 96, pictureWidth = 108, timer = 0, lastTop = 0;

// ---- small parts -------------------------------------------------------------------------------------------------
function median(values) {
  const sorted = Float64Array.from(values).sort(), middle = sorted.length >> 1;
  return sorted.length ? (sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2) : null;
}
const refOf = (row) => data.rows.referent[row];
const imageOf = (row) => data.referents.image[refOf(row)];
const choice = () => data.choices[Number(state.by) || 0];
const quoted = (row) => `“${data.rows.text[row]}”`;

// ---- masks -------------------------------------------------------------------------------------------------------
function paintResponse(canvas, [rows, columns, text]) {
  const cells = atob(text), small = make("canvas", { width: columns, height: rows });
  const image = small.getContext("2d").createImageData(columns, rows);
  for (let at = 0; at < cells.length; at++) {
    image.data.set(HEAT, 4 * at);
    image.data[4 * at + 3] = cells.charCodeAt(at) * 0.85;
  }
  small.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}
function fitted(image, width, height) {  // its size in a box
  return shared.fitted(data.images.width[image], data.images.height[image], width, height);
}

// ---- data --------------------------------------------------------------------------------------------------------
const chunkOf = (row) => Math.floor(imageOf(row) / data.imagesPerChunk);
function pixelsOf(chunk, mask, image, h, w) {
  return raster(chunk.masks[mask], data.images.height[image], data.images.width[image], h, w);
}
function value(row, measure) {
  const chosen = choice(), at = refOf(row), number = Number(measure.replace(/^\D+/, ""));
  switch (measure.replace(/\d+$/, "")) {
    case "words": return data.rows.text[row].split(/\s+/).length;
    case "margin": return chosen && chosen.margin[at];
    case "score": return chosen && chosen.score[at];
    case "candidates": return chosen && chosen.candidates[at];
    case "confidence": return chosen && share(chosen.confidence[at]);
    case "agree": return chosen && share(chosen.agree[at]);
    case "disagreement": return share(data.disagreement[row]);
    case "iou": return data.iou[number] && share(data.iou[number][row]);
    case "area": return data.area[number] && share(data.area[number][row]);
    default: return null;
  }
}
function reviewedAs(at, wanted) {
  const who = word(data.referents.reviewer, at);
  return wanted === "no" ? !who : wanted === "yes" ? Boolean(who) : wanted === `by ${who}`;
}
function filtered() {
  const words = (state.q || "").toLowerCase().split(/\s+/).filter(Boolean), chosen = choice(), { referents } = data;
  const code = (column, name) => name ? column.words.indexOf(name) : null;
  const split = code(referents.split, state.split), type = code(referents.class, state.class);
  const reason = chosen ? code(chosen.reason, state.reason) : null;
  const ranged = state.sort && (state.from || state.to), rows = [];
  const from = state.from ? Number(state.from) : -Infinity, to = state.to ? Number(state.to) : Infinity;
  for (let row = 0; row < count; row++) {
    const at = refOf(row);
    if (split !== null && referents.split.codes[at] !== split) continue;
    if (type !== null && referents.class.codes[at] !== type) continue;
    if (reason !== null && chosen.reason.codes[at] !== reason) continue;
    if (state.reviewed && !reviewedAs(at, state.reviewed)) continue;
    if (words.length && !words.every((one) => haystack[row].includes(one))) continue;
    if (ranged) {
      const found = value(row, state.sort);
      if (!known(found) || found < from || found > to) continue;
    }
    rows.push(row);
  }
  return state.sort ? sorted(rows) : state.down ? rows.reverse() : rows;
}
function sorted(rows) {  // what has no value comes last, either way
  const sign = state.down ? -1 : 1, values = new Map(rows.map((row) => [row, value(row, state.sort)]));
  return rows.sort((a, b) => {
    const x = values.get(a), y = values.get(b);
    if (!known(x) || !known(y)) return known(x) ? -1 : known(y) ? 1 : a - b;
    return sign * (x - y) || a - b;
  });
}

// ---- the list ----------------------------------------------------------------------------------------------------
function newRow() {
  const row = make("div", { className: "row" });
  row.setAttribute("role", "option");
  const img = make("img", { alt: "", decoding: "async" }), canvas = make("canvas");
  img.onerror = () => { img.hidden = true; };
  const lost = make("span", { className: "lost", textContent: "image changed" });
  const picture = make("div", { className: "picture" }, lost, img, canvas);
  const title = make("b"), note = make("small"), values = make("div", { className: "values" });
  row.append(picture, make("div", { className: "text" }, title, note), values);
  $("list").append(row);
  return { row, img, canvas, lost, picture, title, note, values, place: -1, shows: "" };
}
function columnsOfList() {  // what a row tells: the measure of the order first, then what says most
  const method = Number(state.show), measured = data.iou.length && method >= 0 && method < data.methods.length;
  const wanted = [state.sort, data.choices.length && "margin", measured && `iou${method}`, "disagreement"];
  return [...new Set(wanted.filter(Boolean))];
}
function nameOf(measure) {
  if (/^iou/.test(measure)) return "IoU";
  if (/^area/.test(measure)) return "area";
  return { agree: "agreement" }[measure] || measure;
}
function fill(item, place) {
  const row = shown[place], image = imageOf(row), at = refOf(row), chosen = choice();
  item.place = place;
  item.row.id = `row${row}`;
  item.row.style.transform = `translateY(${place * rowHeight}px)`;
  item.row.setAttribute("aria-posinset", place + 1);
  item.row.setAttribute("aria-setsize", shown.length);
  item.row.setAttribute("aria-selected", place === selected);
  const [w, h] = fitted(image, pictureWidth, rowHeight - 14), thumb = data.images.thumb[image];
  Object.assign(item.picture.style, { width: `${w}px`, height: `${h}px` });
  item.lost.hidden = Boolean(thumb);
  item.size = [w, h];
  item.canvas.hidden = true;
  Object.assign(item.img, { alt: `image of ${quoted(row)}`, width: w, height: h });
  if (item.img.getAttribute("src") !== thumb) item.img.hidden = true;
  item.title.textContent = data.rows.text[row];
  const offered = chosen && chosen.candidates[at];
  item.note.textContent = [word(data.referents.split, at), word(data.referents.class, at),
    chosen && word(chosen.reason, at), known(offered) && `${offered} candidate${offered === 1 ? "" : "s"}`]
    .filter(Boolean).join(" · ");
  item.values.replaceChildren(...columnsOfList().map((measure) =>
    make("span", {}, make("small", { textContent: nameOf(measure) }), shownValue(row, measure))));
}
function decorate(item) {  // the image and the mask over it
  const row = shown[item.place], thumb = data.images.thumb[imageOf(row)];
  if (thumb && item.img.getAttribute("src") !== thumb) item.img.src = thumb;
  item.img.hidden = !thumb;
  overlay(item, row);
}
function shownValue(row, measure) {
  return fixed(value(row, measure), /^(words|candidates)$/.test(measure) ? 0 : 2);
}
function overlay(item, row) {  // the mask of the list, where its file is there
  const chunk = chunks.get(chunkOf(row)), method = state.show === "truth" ? data.methods.length : Number(state.show);
  const mask = chunk && chunk.rows[row][method];
  if (!known(mask) || mask < 0) return;
  const [w, h] = item.size;
  Object.assign(item.canvas, { width: w, height: h, hidden: false });
  paint(item.canvas, [[pixelsOf(chunk, mask, imageOf(row), h, w), MASK]]);
}
function view(anew) {
  const list = $("list"), first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - 3);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / rowHeight) + 3);
  while (pool.length < last - first) pool.push(newRow());
  for (const item of pool)
    if (anew || item.place < first || item.place >= last) item.place = -1;
  const there = new Set(pool.map((item) => item.place)), free = pool.filter((item) => item.place < 0);
  const fast = Math.abs(list.scrollTop - lastTop) > list.clientHeight / 2;  // pictures wait until it stands still
  lastTop = list.scrollTop;
  for (let place = first; place < last; place++)
    if (!there.has(place)) {
      const item = free.pop();
      fill(item, place);
      if (!fast) decorate(item);
    }
  for (const item of free) {
    item.row.removeAttribute("id");
    item.row.style.transform = `translateY(${-2 * rowHeight}px)`;
  }
  clearTimeout(timer);
  timer = setTimeout(masksInView, anew ? 0 : SETTLED);
}
function masksInView() {
  const rows = pool.filter((item) => item.place >= 0);
  for (const item of rows) if (item.canvas.hidden) decorate(item);
  for (const number of new Set(rows.map((item) => chunkOf(shown[item.place]))))
    if (!chunks.has(number)) need(number).then(() => {
      for (const item of pool)
        if (item.place >= 0 && chunkOf(shown[item.place]) === number) overlay(item, shown[item.place]);
    });
}
function select(place, { scroll = true } = {}) {
  selected = Math.max(0, Math.min(shown.length - 1, place));
  const list = $("list"), top = selected * rowHeight;
  if (scroll && shown.length) {
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + rowHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight - list.clientHeight;
  }
  view(false);
  for (const item of pool) item.row.setAttribute("aria-selected", item.place === selected);
  if (shown.length) list.setAttribute("aria-activedescendant", `row${shown[selected]}`);
  else list.removeAttribute("aria-activedescendant");
}
function refresh() {
  const before = shown[selected];
  offerReasons();
  shown = filtered();
  $("space").style.height = `${shown.length * rowHeight}px`;
  $("nothing").hidden = shown.length > 0;
  const all = count.toLocaleString("en"), left = data.expressions - count;
  $("count").textContent = (shown.length === count ? `${all} expressions`
    : `${shown.length.toLocaleString("en")} of ${all} expressions`)
    + (left > 0 ? `; ${left.toLocaleString("en")} more not read yet` : "");
  for (const id of ["from", "to"]) $(id).disabled = !state.sort;
  const again = before === undefined ? -1 : shown.indexOf(before);
  if (again < 0) $("list").scrollTop = 0;
  view(true);
  select(Math.max(0, again));
}
function offerReasons() {
  if (!$("reason") || reasonsOf === (Number(state.by) || 0)) return;
  reasonsOf = Number(state.by) || 0;
  const options = [...choice().reason.words].filter(Boolean).sort()
    .map((one) => make("option", { value: one, textContent: one }));
  $("reason").replaceChildren(make("option", { value: "", textContent: "all" }), ...options);
  $("reason").value = state.reason || "";
}

// ---- one expression ----------------------------------------------------------------------------------------------
function panel(row, title, note, alt, draw, nothing = "") {
  const image = imageOf(row), [w, h] = fitted(image, data.side, data.side), thumb = data.images.thumb[image];
  const canvas = make("canvas", { width: w, height: h });
  canvas.setAttribute("aria-hidden", "true");
  const picture = make("div", { className: "picture" });
  picture.style.aspectRatio = `${w} / ${h}`;
  if (thumb) picture.append(make("img", { src: thumb, width: w, height: h, alt: `${alt} of ${quoted(row)}` }));
  else picture.append(make("span", { className: "lost", textContent: "the image changed and cannot be shown" }));
  picture.append(canvas);
  if (nothing) picture.append(make("span", { className: "none", textContent: nothing }));
  if (draw) draw(canvas);
  return make("figure", {}, make("figcaption", {}, make("b", { textContent: title }),
    make("span", { textContent: note })), picture);
}
function panelsOf(row, chunk) {
  const image = imageOf(row), layer = (mask, canvas) => pixelsOf(chunk, mask, image, canvas.height, canvas.width);
  const panels = [panel(row, "image", "", "image")];
  const offers = [...new Set(data.choices.map((one) => data.methods[one.method].offered))].filter(known);
  for (const offer of offers) {
    const found = offeredTo(row, chunk, offer);
    panels.push(panel(row, data.candidates[offer], `${found.length}`, `${found.length} candidate masks`,
      (canvas) => paint(canvas, largestFirst(found.map((one) => [layer(one.mask, canvas), one.colour]))),
      found.length ? "" : "no candidate"));
  }
  data.responses.forEach((name, number) => {
    const map = chunk.responses[number][row];
    if (map) panels.push(panel(row, name, "", "response map", (canvas) => paintResponse(canvas, map),
      /[^\0]/.test(atob(map[2])) ? "" : "no response"));
  });
  [...data.methods, { name: "ground truth" }].forEach((method, number) => {
    const mask = chunk.rows[row][number];
    if (!known(mask)) return;
    const iou = data.iou[number] && share(data.iou[number][row]);
    panels.push(panel(row, method.name, known(iou) ? `IoU ${fixed(iou)}` : "", `mask by ${method.name}`,
      mask < 0 ? null : (canvas) => paint(canvas, [[layer(mask, canvas), MASK]]), mask < 0 ? "no mask" : ""));
  });
  return panels;
}
function largestFirst(layers) {  // so that none hides a smaller one
  const area = (pixels) => pixels.reduce((sum, one) => sum + one, 0);
  return layers.map((layer) => [area(layer[0]), layer]).sort((a, b) => b[0] - a[0]).map(([, layer]) => layer);
}
function offeredTo(row, chunk, offer) {  // a referent's candidates, each with its mask and colour
  const number = data.choices.findIndex((one) => data.methods[one.method].offered === offer);
  const chosen = chunk.choices[number][refOf(row)], all = chunk.candidates[offer][imageOf(row)] || [];
  const named = new Map(all.map(([name, mask, label]) => [name, { name, mask, label }]));
  return (chosen ? chosen.numbers : []).filter((name) => named.has(name))
    .map((name, at) => ({ ...named.get(name), colour: COLOURS[at % COLOURS.length] }));
}
function choiceTable(row, chunk, number) {
  const method = data.methods[data.choices[number].method], chosen = chunk.choices[number][refOf(row)];
  if (!chosen || !chosen.numbers.length || !known(method.offered)) return null;
  const scores = new Map(chosen.numbers.map((name, at) => [name, chosen.scores[at]]));
  const body = offeredTo(row, chunk, method.offered).filter((one) => scores.has(one.name)).map((one) => {
    const swatch = make("span", { className: "swatch" });
    swatch.style.background = `rgb(${one.colour.join(",")})`;
    const taken = chosen.taken.includes(one.name);
    return make("tr", { className: taken ? "taken" : "" }, make("td", {}, swatch, `${one.name}`),
      make("td", { className: "word", textContent: one.label || "–" }),
      make("td", { textContent: fixed(scores.get(one.name)) }), make("td", { textContent: taken ? "chosen" : "" }));
  });
  const head = make("tr", {}, ...["candidate", "class", "score", ""].map((name, at) =>
    make("th", { className: at === 1 ? "word" : "", textContent: name })));
  return make("section", {}, make("h3", { textContent: `Scores of ${method.name}` }), make("table", {}, head, ...body));
}
function siblings(row) {
  const others = [];
  for (let one = 0; one < count; one++) if (one !== row && refOf(one) === refOf(row)) others.push(one);
  if (!others.length) return null;
  const items = others.map((one) => make("li", {}, make("a", { textContent: data.rows.text[one],
    href: address({ ...state, row: String(data.rows.id[one]) }) })));
  return make("section", {}, make("h3", { textContent: "Other expressions of this referent" }), make("ul", {}, ...items));
}
function factsOf(row) {
  const at = refOf(row), typed = data.rows.typed[row];
  const told = data.choices.map((one) => `${data.methods[one.method].name}: ${word(one.reason, at) || "none"}`
    + (known(one.score[at]) ? `, score ${fixed(one.score[at])}` : "")
    + (known(one.margin[at]) ? `, margin ${fixed(one.margin[at])}` : ""));
  return [word(data.referents.split, at), word(data.referents.class, at), data.images.file[imageOf(row)],
    `expression ${data.rows.id[row]}, referent ${data.referents.id[at]}`, word(data.referents.reviewer, at) && `reviewed by ${word(data.referents.reviewer, at)}`, typed && `typed as “${typed}”`, ...told,
    known(data.disagreement[row]) && `disagreement ${fixed(share(data.disagreement[row]))}`].filter(Boolean).join(" · ");
}
function open(row) {
  $("one-title").textContent = data.rows.text[row];
  const facts = make("p", { className: "facts", textContent: factsOf(row) });
  const panels = make("div", { className: "panels" }), below = make("div", { className: "below" });
  $("one-body").replaceChildren(facts, panels, below);
  if (!$("one").open) $("one").showModal();
  $("one").focus();
  $("one").scrollTop = 0;
  $("one").dataset.row = row;
  need(chunkOf(row)).then((chunk) => {
    if (Number($("one").dataset.row) !== row) return;
    if (!chunk) { panels.replaceChildren(panel(row, "image", "", "image")); return; }
    panels.replaceChildren(...panelsOf(row, chunk));
    const tables = data.choices.map((_, number) => choiceTable(row, chunk, number));
    below.replaceChildren(...[...tables, siblings(row)].filter(Boolean));
  });
}
function step(by) {
  select(selected + by);
  if (shown.length) change({ row: String(data.rows.id[shown[selected]]) });
}

// ---- numbers -----------------------------------------------------------------------------------------------------
function numbers() {
  const tables = [];
  if (data.choices.length) {
    const places = [...new Set(shown.map(refOf))];
    tables.push(table(["choices", "referents", "without candidate", "without mask", "median margin", "sentences agree"],
      data.choices.map((one) => {
        const asked = places.filter((at) => known(one.candidates[at]));
        const of = (column) => asked.map((at) => column[at]).filter(known);
        const rows = shown.filter((row) => known(data.area[one.method][row]));
        return [data.methods[one.method].name, asked.length, percent(mean(asked.map((at) => !one.candidates[at]))),
          percent(mean(rows.map((row) => !data.area[one.method][row]))), fixed(median(of(one.margin))),
          percent(share(mean(of(one.agree))))];
      })));
  }
  const truth = data.iou.length > 0;
  tables.push(table(["masks", "expressions", "median area", ...(truth ? ["mIoU", "P@0.5"] : [])],
    data.methods.map((method, number) => {
      const areas = shown.map((row) => data.area[number][row]).filter(known);
      const ious = truth ? shown.map((row) => data.iou[number][row]).filter(known) : [];
      const scores = truth ? [percent(share(mean(ious))), percent(mean(ious.map((one) => one >= 500)))] : [];
      return [method.name, areas.length, percent(share(median(areas))), ...scores];
    })));
  const apart = mean(shown.map((row) => data.disagreement[row]).filter(known));
  const note = make("p", { className: "facts", textContent: `${$("count").textContent}. Mean disagreement of the methods `
    + `(1 - IoU of every two masks of an expression): ${fixed(share(apart))}. IoU at the image's own size, an `
    + "expression counts once, no mask counts as 0." });
  $("numbers-body").replaceChildren(note, ...tables);
  $("numbers").showModal();
}
const percent = (one) => known(one) ? `${(100 * one).toFixed(1)} %` : "–";
function table(names, rows) {
  const line = (tag, cells) => make("tr", {}, ...cells.map((cell) => make(tag, { textContent: cell })));
  return make("div", { className: "wide" }, make("table", {}, line("th", names), ...rows.map((row) => line("td", row))));
}

// ---- address, keys -----------------------------------------------------------------------------------------------
const CONTROLS = ["q", "split", "by", "reason", "reviewed", "class", "sort", "down", "from", "to", "show"];
function address(wanted) {
  const query = new URLSearchParams();
  for (const [name, setting] of Object.entries(wanted)) if (setting) query.set(name, setting);
  return `#${query}`;
}
function change(difference) {  // opening a row is a step that the browser's button takes back
  const next = { ...state, ...difference }, opens = Boolean(next.row) && !state.row;
  if (opens) location.hash = address(next);
  else {
    history.replaceState(null, "", address(next));
    follow();
  }
}
function follow() {  // show what the address says
  const before = address({ ...state, row: "" });
  state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (!known(state.show)) state.show = "0";
  for (const id of CONTROLS) {
    const control = $(id);
    if (!control) continue;
    if (id === "reason") offerReasons();
    if (id === "down") control.checked = Boolean(state.down);
    else if (control.value !== (state[id] || "") && document.activeElement !== control) control.value = state[id] || "";
  }
  if ($("by") && !$("by").value) $("by").value = "0";
  if (before !== address({ ...state, row: "" }) || !shown.length) refresh();
  const row = state.row ? data.rows.id.indexOf(Number(state.row)) : -1;
  if (row < 0) { if ($("one").open) $("one").close(); return; }
  if (shown.includes(row)) select(shown.indexOf(row));
  open(row);
}
function settings() {
  const found = {};
  for (const id of CONTROLS) if ($(id)) found[id] = id === "down" ? ($("down").checked ? "1" : "") : $(id).value;
  if (found.by === "0") found.by = "";
  return found;
}
function clear() {
  for (const id of CONTROLS) if ($(id)) $(id).value = "";
  change(Object.fromEntries(CONTROLS.map((id) => [id, id === "show" ? state.show : ""])));
}
function openSelected() {
  if (shown.length) change({ row: String(data.rows.id[shown[selected]]) });
}
const MOVES = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 };
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("numbers").open) return;
  const typing = /^(INPUT|SELECT)$/.test(event.target.tagName), list = $("list");
  const page = Math.max(1, Math.floor(list.clientHeight / rowHeight) - 1);
  const far = { PageDown: page, PageUp: -page, Home: -count, End: count }[event.key];
  if ($("one").open) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) { step(by); event.preventDefault(); }
    return;
  }
  if (event.key === "/" && !typing) $("q").focus();
  else if (event.target === $("q") && /^(ArrowDown|Escape)$/.test(event.key)) list.focus();
  else if (event.target === $("q") && event.key === "Enter") openSelected();
  else if (typing || event.target.tagName === "BUTTON") return;
  else if (MOVES[event.key]) select(selected + MOVES[event.key]);
  else if (far) select(selected + far);
  else if (event.key === "Enter") openSelected();
  else return;
  event.preventDefault();
}
function readSizes() {
  const style = getComputedStyle(document.documentElement);
  [rowHeight, pictureWidth] = ["--row", "--picture"].map((name) => parseFloat(style.getPropertyValue(name)));
}
function measureRows() {
  readSizes();
  $("space").style.height = `${shown.length * rowHeight}px`;
  view(true);
}
function listen() {
  let typing = 0;
  $("list").addEventListener("scroll", () => requestAnimationFrame(() => view(false)), { passive: true });
  $("list").addEventListener("click", (event) => {
    const item = pool.find((one) => one.row.contains(event.target));
    if (item) { select(item.place, { scroll: false }); openSelected(); }
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => change(settings()), TYPED);
  });
  for (const id of ["clear", "clear2"]) $(id).addEventListener("click", clear);
  $("before").addEventListener("click", () => step(-1));
  $("after").addEventListener("click", () => step(1));
  $("close").addEventListener("click", () => $("one").close());
  $("one").addEventListener("close", () => { if (state.row) change({ row: "" }); $("list").focus(); });
  $("numbers-button").addEventListener("click", numbers);
  $("numbers-close").addEventListener("click", () => $("numbers").close());
  for (const dialog of [$("one"), $("numbers")])
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  addEventListener("keydown", pressed);
  addEventListener("hashchange", follow);
  addEventListener("resize", measureRows);
}
function append(to, from) {  // columns grow; what is no column is there already
  for (const [name, part] of Object.entries(from)) {
    if (name === "typed") Object.assign(to.typed, part);
    else if (Array.isArray(part) && (part.length === 0 || part[0] === null || typeof part[0] !== "object"))
      for (const one of part) to[name].push(one);
    else append(to[name], part);
  }
}
function look() {  // what is searched in rows that came
  for (let row = haystack.length; row < data.rows.id.length; row++)
    haystack.push([data.rows.text[row], data.rows.typed[row], word(data.referents.class, refOf(row)),
      data.images.file[imageOf(row)]].filter(Boolean).join(" ").toLowerCase());
  count = data.rows.id.length;
}
function more(part) {
  append(data, part);
  look();
}
function rest(number) {  // of a large index, part after part; the list shows its beginning meanwhile
  if (number > data.rest) return whole();
  const script = make("script", { src: `data/index-${String(number).padStart(5, "0")}.js` });
  script.onload = () => { script.remove(); rest(number + 1); };
  script.onerror = whole;
  document.head.append(script);
}
function whole() {
  if (data.rest) {
    refresh();
    follow();
  }
  document.documentElement.dataset.whole = count;
}
function index(given) {
  data = given;
  haystack = [];
  look();
  readSizes();
  listen();
  follow();
  if (!$("one").open) $("list").focus({ preventScroll: true });
  document.documentElement.dataset.ready = Math.round(performance.now());
  rest(1);
}
function links(given) {  // pages about the same data
  $("links").replaceChildren(...given.map(([text, href]) => make("a", { textContent: text, href })));
}
return { index, more, links, chunk: shared.chunk };
})();
