// The review: one referent, its candidates by number, and a decision by a key. It works with the server that serves it.
"use strict";
(() => {
const { COLOURS, MASK, make, known, fixed, raster, paint, fitted } = shared;
const $ = (id) => document.getElementById(id);
const SIDE = 560, SMALL = 300;  // of painted masks, pixels: a rim of one pixel is to be seen
const APART = 0.07;  // of numbers on an image, as a share of its sides
const AHEAD = 2;  // referents that are read before they are asked for
const WORDS = { none: "none of these", absent: "not in the image" };
let all = null, place = 0, now = null, busy = false, turn = 0;
const asked = new Map(), taken = [];  // referents whose decision `undo` takes back, the last one last

async function ask(path, body) {
  const request = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }
    : undefined;
  let reply, content = null;
  try { reply = await fetch(path, request); } catch { throw new Error("the server does not answer: is it still running?"); }
  try { content = await reply.json(); } catch { /* not ours */ }
  if (!reply.ok) {
    const error = content && content.error;
    const said = error ? `${error.message}: ${error.advice}` : `the server says ${reply.status} ${reply.statusText}`;
    throw Object.assign(new Error(said), { status: reply.status });
  }
  return content;
}
function say(text, trouble = "") {
  $("status").textContent = text;
  $("trouble").textContent = trouble;
}
function read(at) {  // a referent, once
  const key = all.keys[at];
  if (!asked.has(key)) asked.set(key, ask(`referents/${key}`).catch((problem) => { asked.delete(key); throw problem; }));
  return asked.get(key);
}
function ahead() {
  for (let at = place + 1; at <= place + AHEAD && at < all.keys.length; at++)
    read(at).then((one) => { new Image().src = one.picture; }, () => {});
}

// ---- one referent ------------------------------------------------------------------------------------------------
function pictureOf(one, side, alt) {
  const [w, h] = fitted(one.width, one.height, side, side);
  const picture = make("div", { className: "picture" }), canvas = make("canvas", { width: w, height: h });
  picture.style.aspectRatio = `${w} / ${h}`;
  picture.style.setProperty("--ratio", w / h);
  const image = make("img", { src: one.picture, width: w, height: h, alt });
  image.onerror = () => image.replaceWith(make("span", { className: "lost",
    textContent: "the image changed and cannot be shown" }));
  canvas.setAttribute("aria-hidden", "true");
  picture.append(image, canvas);
  return [picture, canvas];
}
function middle(pixels, w, h) {  // the pixel of a mask that is next to its centre of mass
  let x = 0, y = 0, count = 0, best = null, least = Infinity;
  for (let at = 0; at < pixels.length; at++) if (pixels[at]) { x += at % w; y += Math.floor(at / w); count++; }
  for (let at = 0; at < pixels.length; at += 7) {
    if (!pixels[at]) continue;
    const apart = (at % w - x / count) ** 2 + (Math.floor(at / w) - y / count) ** 2;
    if (apart < least) [best, least] = [at, apart];
  }
  return best === null ? null : [(best % w + 0.5) / w, (Math.floor(best / w) + 0.5) / h];
}
function show(one) {
  now = one;
  $("said").textContent = `“${one.expressions[0]}”`;
  $("others").textContent = one.expressions.slice(1).map((text) => `“${text}”`).join("  ");
  const [picture, canvas] = pictureOf(one, SIDE, `Image in which “${one.expressions[0]}” is looked for`);
  const masks = one.candidates.map((each) => raster(each.counts, one.height, one.width, canvas.height, canvas.width));
  const layers = masks.map((pixels, at) => [pixels.reduce((sum, bit) => sum + bit, 0), pixels, COLOURS[at % COLOURS.length]]);
  paint(canvas, layers.sort((a, b) => b[0] - a[0]).map(([, pixels, colour]) => [pixels, colour]), 0);
  const spots = [];
  masks.forEach((pixels, at) => {
    const spot = middle(pixels, canvas.width, canvas.height);
    if (!spot) return;
    while (spots.some((other) => Math.hypot(other[0] - spot[0], other[1] - spot[1]) < APART)) spot[1] += APART / 2;
    spots.push(spot);
    const number = make("span", { className: "number", textContent: at + 1 });
    [number.style.left, number.style.top] = spot.map((share) => `${100 * share}%`);
    picture.append(number);
  });
  $("image").replaceChildren(picture);
  $("candidates").replaceChildren(...one.candidates.map((each, at) => card(one, each, at)));
  if (!one.candidates.length)
    $("candidates").replaceChildren(make("p", { className: "facts", textContent: "There is no candidate." }));
  $("question").hidden = false;
  const offered = one.candidates.length === 1 ? "1 candidate" : `${one.candidates.length} candidates`;
  $("facts").textContent = [`${place + 1} of ${all.keys.length}`, one.split, one.file, `referent ${one.id}`, offered,
    `chosen by the rule: ${one.reason}`, known(one.margin) && `margin ${fixed(one.margin)}`].filter(Boolean).join(" · ");
  const link = $("gallery"), base = document.body.dataset.gallery;
  link.hidden = !base;
  if (base) link.href = `${base}#row=${one.row}`;
  mark();
}
function card(one, each, at) {
  const [picture, canvas] = pictureOf(one, SMALL, "");
  paint(canvas, [[raster(each.counts, one.height, one.width, canvas.height, canvas.width), MASK]]);
  const caption = make("div", { className: "caption" }, make("kbd", { textContent: at + 1 }),
    make("b", { textContent: each.label || "mask" }), make("span", { textContent: [each.chosen && "rule's choice",
      known(each.score) && `score ${fixed(each.score)}`].filter(Boolean).join(", ") }));
  const button = make("button", { type: "button" }, picture, caption);
  button.dataset.mask = each.key;
  button.setAttribute("aria-label", `Candidate ${at + 1}: ${each.label || "mask"}, ${(100 * each.share).toFixed(1)} % of `
    + `the image${each.chosen ? ", the rule's choice" : ""}`);
  button.onclick = () => decide("mask", at);
  return button;
}
function mark() {  // what is decided
  const what = now.decision;
  for (const button of document.querySelectorAll("#candidates button"))
    button.setAttribute("aria-pressed", Boolean(what) && what.mask === button.dataset.mask);
  for (const id of ["none", "absent"]) $(id).setAttribute("aria-pressed", Boolean(what) && what.what === id);
  const done = all.decided.filter(Boolean).length;
  [$("progress").max, $("progress").value] = [all.keys.length, done];
  $("count").textContent = `${done} of ${all.keys.length} decided`;
  $("before").disabled = !place;
  $("after").disabled = place + 1 >= all.keys.length;
}
function wording(one) {
  if (!one.decision) return "nothing decided yet";
  const { what, mask, who, when } = one.decision, at = one.candidates.findIndex((each) => each.key === mask);
  const name = WORDS[what] || (at < 0 ? "a mask that is no candidate any more" : `candidate ${at + 1}`);
  return `${name}, by ${who} at ${when.slice(0, 16).replace("T", " ")} UTC`;
}

// ---- what a person does ------------------------------------------------------------------------------------------
async function go(at, note = "") {
  if (at < 0 || at >= all.keys.length) return;
  const mine = ++turn;
  place = at;
  try {
    const one = await read(at);
    if (mine !== turn) return;
    show(one);
    say([note, one.decision && `Decided: ${wording(one)}.`].filter(Boolean).join(" "));
    $("said").scrollIntoView({ block: "nearest" });
    history.replaceState(null, "", `#${one.key}`);
    ahead();
  } catch (problem) { say("", problem.message); }
}
async function write(path, body) {
  if (busy) return null;
  busy = true;
  try { return await ask(path, body); } catch (problem) {
    say("", problem.message);
    if (problem.status === 409) asked.delete(body.referent);  // another person was faster
    return null;
  } finally { busy = false; }
}
async function settle(answer) {  // what stands, here and in the list
  const at = all.keys.indexOf(answer.key);
  all.decided[at] = answer.decision && answer.decision.what;
  (await read(at)).decision = answer.decision;
  return at;
}
async function decide(decision, at = -1) {
  if (!now || decision === "mask" && at >= now.candidates.length) return;
  const mask = decision === "mask" ? now.candidates[at].key : "", said = now.expressions[0];
  const answer = await write("decisions", { referent: now.key, decision, mask });
  if (!answer) return;
  taken.push(answer.key);
  const from = await settle(answer);
  const note = `“${said}”: ${WORDS[decision] || `candidate ${at + 1}`}. u takes it back.`;
  let next = all.decided.findIndex((what, other) => other > from && !what);
  if (next < 0) next = all.decided.findIndex((what) => !what);
  if (next < 0) { place = from; show(await read(from)); say(`${note} All are decided.`); } else await go(next, note);
}
async function undo() {
  const key = taken.at(-1) || (now && now.decision ? now.key : null);
  if (!key) { say("There is nothing to take back."); return; }
  const answer = await write("undo", { referent: key });
  if (answer || !asked.has(key)) taken.pop();
  if (!answer) return;
  await go(await settle(answer), "Taken back.");
}
const KEYS = { 0: () => decide("none"), x: () => decide("absent"), u: undo, ArrowRight: () => go(place + 1),
  ArrowLeft: () => go(place - 1), Enter: () => go(place + 1) };
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && !/^Arrow/.test(event.key)) return;
  if (event.key === "Enter" && /^(BUTTON|A)$/.test(event.target.tagName)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = /^[1-9]$/.test(key) ? () => decide("mask", Number(key) - 1) : KEYS[key];
  if (!act || !all) return;
  event.preventDefault();
  act();
}
async function begin() {
  try { all = await ask("referents"); } catch (problem) { say("", problem.message); return; }
  document.title = `${all.dataset} - wordmask review by ${all.who}`;
  if (!all.keys.length) { $("count").textContent = "There is no referent."; return; }
  for (const id of ["none", "absent"]) $(id).onclick = () => decide(id);
  $("undo").onclick = undo;
  $("before").onclick = () => go(place - 1);
  $("after").onclick = () => go(place + 1);
  addEventListener("keydown", pressed);
  const linked = all.keys.indexOf(location.hash.slice(1)), open = all.decided.findIndex((what) => !what);
  await go(linked >= 0 ? linked : Math.max(0, open), all.notes.join(". "));
}
begin();
})();
