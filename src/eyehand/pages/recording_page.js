// The player of a recording page: video, action and timeline of one recording at a time, always of the same frame.
//
// What is shown is decided by the picture: whatever frame the browser presents, the action and the timeline follow it.
// Data is in the page: <script id="data-N"> JSON, <script id="video-N"> base64, <template id="figures-N"> charts.
"use strict";

const $ = (id) => document.getElementById(id);
const video = $("video"), canvas = $("timeline"), bar = $("bar"), number = $("tick");
const ROWS = [[["q", "Q"], ["w", "W"], ["e", "E"], ["f", "F"]], [["a", "A"], ["s", "S"], ["d", "D"], ["z", "Z"]],
  [["LeftShift", "Shift"], ["Space", "Space"]]];
const BUTTONS = { 0: "left", 1: "right", 2: "middle", 3: "back", 4: "forward" };
const SAY = { user: "a user acts", system: "a system acts", labelled: "a system acts, labelled", unknown: "nobody knows" };
const GUTTER = 86, AXIS = 18, ROW = 14, GAP = 3, MOTION = 40, MOST_ROWS = 24;
const EPSILON_S = 0.002;  // times in a video are rounded to its time base

let chosen = null;      // the recording shown: its data, made ready by `prepare`
let tick = 0;           // the frame that is shown
let wanted = 0;         // the frame that was asked for; differs from `tick` while the browser seeks
let asked = -1;         // the frame that the browser seeks
let url = null;
let drawn = "";         // what the still part of the timeline shows
const still = document.createElement("canvas");

// ---- data

function runsAt(flat, frame) {  // whether [start, length, start, length...] covers the frame
  let low = 0, high = flat.length / 2 - 1;
  while (low <= high) {
    const middle = (low + high) >> 1, start = flat[2 * middle];
    if (frame < start) high = middle - 1;
    else if (frame >= start + flat[2 * middle + 1]) low = middle + 1;
    else return true;
  }
  return false;
}

function valueAt(runs, frame) {  // of [[start, length, value]...]
  const found = runs.find(([start, length]) => frame >= start && frame < start + length);
  return found ? found[2] : null;
}

function heldAt(runsOf, frame) {
  return Object.keys(runsOf).filter((name) => runsAt(runsOf[name], frame));
}

function prepare(index) {
  const data = JSON.parse($(`data-${index}`).textContent);
  data.index = index;
  data.times = [];
  let at = 0;
  for (const [count, step] of data.steps_us || []) for (let i = 0; i < count; i++) data.times.push((at += step) / 1e6);
  data.rows = [];
  for (const [kind, names] of [["keys", data.keys], ["buttons", data.buttons], ["pad", data.pad]]) {
    const labels = { ...names, ...(data[`label_${kind}`] || {}) };
    for (const name of Object.keys(labels)) data.rows.push({
      name: kind === "buttons" ? `${BUTTONS[name] || name} button` : name,
      runs: names[name] || [], label: (data[`label_${kind}`] || {})[name] || [] });
  }
  data.rows = data.rows.slice(0, MOST_ROWS);
  return data;
}

function frameAt(seconds) {  // the last frame that is shown at this time of the video
  const times = chosen.times;
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= seconds + EPSILON_S) low = middle; else high = middle - 1;
  }
  return low;
}

// ---- the command that edits the recording: a page cannot write, and a person should see what is done

let cut = {};           // what is chosen: from, to, splits (frames)

function quoted(text) {  // for a shell
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function timeOf(frame) {
  const seconds = frame / chosen.fps;
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;
}

function showCommand() {
  const words = ["eyehand data edit", quoted(chosen.path)], splits = [...(cut.splits || [])].sort((a, b) => a - b);
  if ($("edit-delete").checked) words.push("--delete");
  else {
    if (cut.from !== undefined || cut.to !== undefined)
      words.push("--trim", cut.from === undefined ? "-" : timeOf(cut.from), cut.to === undefined ? "-" : timeOf(cut.to));
    else if (splits.length) words.push("--split", ...splits.map(timeOf));
    for (const name of ["mark", "instruction", "note"]) if ($(`edit-${name}`).value) words.push(`--${name}`, quoted($(`edit-${name}`).value));
  }
  $("edit-command").textContent = words.length > 2 ? words.join(" ") : "";
}

function clearEdit() {
  cut = {};
  for (const name of ["mark", "instruction", "note"]) $(`edit-${name}`).value = "";
  $("edit-delete").checked = false;
  showCommand();
}

$("edit-from").onclick = () => { cut = { ...cut, from: tick, splits: undefined }; showCommand(); };
$("edit-to").onclick = () => { cut = { ...cut, to: tick, splits: undefined }; showCommand(); };
$("edit-split").onclick = () => { cut = { splits: new Set([...(cut.splits || []), tick]) }; showCommand(); };
$("edit-clear").onclick = clearEdit;
$("edit").addEventListener("input", showCommand);
$("edit").addEventListener("keydown", (event) => event.stopPropagation());  // space and arrows are for typing there

// ---- choosing a recording

function choose(index, frame = 0) {
  chosen = prepare(index);
  $("name").textContent = chosen.name;
  $("lead").textContent = chosen.lead;
  clearEdit();
  $("problems").replaceChildren(...chosen.problems.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  $("figures").replaceChildren($(`figures-${index}`).content.cloneNode(true));
  number.max = bar.max = chosen.num_frames - 1;
  $("last").textContent = `of ${chosen.num_frames - 1}`;
  buildCaps();
  $("legend-labelled").hidden = !chosen.who.some((run) => run[2] === "labelled");
  document.querySelectorAll("#index tbody tr").forEach((row) => row.classList.toggle("chosen", row.dataset.index === String(index)));
  loadVideo();
  drawn = "";
  show(frame);
  seek(frame);
}

function loadVideo() {
  video.pause();
  if (url) URL.revokeObjectURL(url);
  url = null;
  const source = $(`video-${chosen.index}`);
  $("missing").textContent = source ? "" : chosen.no_video || "";
  $("missing").hidden = Boolean(source);
  if (!source) { video.removeAttribute("src"); video.load(); return; }
  const text = atob(source.textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  url = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  video.src = url;
  setSpeed();
}

function hasPictures() {
  return url !== null && !video.error;
}

// ---- one frame

function seek(frame) {
  wanted = Math.max(0, Math.min(chosen.num_frames - 1, Math.round(frame)));
  if (!hasPictures()) { show(wanted); return; }
  if (video.readyState < 1 || video.seeking) return;  // `loadedmetadata` or `seeked` will look at `wanted`
  asked = wanted;
  const times = chosen.times, at = times[wanted];
  const next = wanted + 1 < times.length ? times[wanted + 1] : at + 1 / chosen.fps;
  video.currentTime = (at + next) / 2;  // the middle of a frame is that frame, however times are rounded
}

function settled() {
  if (wanted !== asked) seek(wanted);  // somebody asked for another frame meanwhile
  else show(frameAt(video.currentTime));
}

function show(frame) {
  tick = frame;
  const data = chosen, who = valueAt(data.who, frame) || "unknown";
  document.body.dataset.tick = String(frame);
  if (document.activeElement !== number) number.value = frame;
  bar.value = frame;
  const seconds = frame / data.fps;
  $("clock").textContent = `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, "0")} of ` +
    `${Math.floor(data.num_frames / data.fps / 60)}:${((data.num_frames / data.fps) % 60).toFixed(2).padStart(5, "0")}`;
  $("who").textContent = SAY[who];
  $("who").className = `badge ${who}`;
  const instruction = valueAt(data.instructions, frame);
  $("instruction").textContent = instruction ? `“${instruction}”` : "";
  const held = new Set(heldAt(data.keys, frame)), would = new Set(heldAt(data.label_keys, frame));
  document.body.dataset.keys = [...held].sort().join(" ");
  for (const cap of document.querySelectorAll("kbd")) {
    cap.classList.toggle("lit", held.has(cap.dataset.key));
    cap.classList.toggle("ghost", would.has(cap.dataset.key));
  }
  showMouse(frame);
  const pad = heldAt(data.pad, frame), sticks = data.sticks[frame];
  $("pad").textContent = sticks ? `gamepad: ${pad.join(", ") || "nothing"}; left ${sticks[0]}, ${sticks[1]}; ` +
    `right ${sticks[2]}, ${sticks[3]}; triggers ${sticks[4]}, ${sticks[5]}` : "";
  drawTimeline();
}

function showMouse(frame) {
  const data = chosen, buttons = heldAt(data.buttons, frame), would = heldAt(data.label_buttons, frame);
  document.body.dataset.buttons = buttons.sort().join(" ");
  for (const part of document.querySelectorAll(".mouse .b")) {
    part.classList.toggle("lit", buttons.includes(part.dataset.button));
    part.classList.toggle("ghost", would.includes(part.dataset.button));
  }
  const dx = data.dx[frame] || 0, dy = data.dy[frame] || 0, scroll = data.scroll[frame] || 0;
  point($("arrow"), dx, dy);
  point($("arrow-would"), data.label_dx[frame] || 0, data.label_dy[frame] || 0);
  const more = buttons.filter((name) => name > 2).map((name) => BUTTONS[name] || name);
  $("motion").textContent = `dx ${dx}\ndy ${dy}` + (scroll ? `\nwheel ${scroll}` : "") + (more.length ? `\n${more.join(" ")}` : "");
}

function point(arrow, dx, dy) {  // length grows with the logarithm: one pixel is seen, a hundred fit
  const length = Math.hypot(dx, dy), reach = length ? Math.min(30, 6 + 5 * Math.log2(1 + length)) : 0;
  arrow.setAttribute("x2", 36 + (length ? (dx / length) * reach : 0));
  arrow.setAttribute("y2", 36 + (length ? (dy / length) * reach : 0));
  arrow.style.display = length ? "" : "none";
}

function buildCaps() {
  const common = new Set(ROWS.flat().map(([name]) => name));
  const used = [...new Set([...Object.keys(chosen.keys), ...Object.keys(chosen.label_keys)])];
  const others = used.filter((name) => !common.has(name)).map((name) => [name, name.length === 1 ? name.toUpperCase() : name]);
  $("caps").replaceChildren(...[...ROWS, others].filter((row) => row.length).map((row) => {
    const line = document.createElement("div");
    for (const [name, label] of row) {
      const cap = Object.assign(document.createElement("kbd"), { textContent: label });
      cap.dataset.key = name;
      cap.classList.toggle("wide", name === "Space");
      line.append(cap);
    }
    return line;
  }));
}

// ---- timeline

function colours() {
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(name).trim();
  return { text: of("--text"), dim: of("--dim"), line: of("--line"), card: of("--card"), back: of("--back"), lit: of("--accent"),
    user: of("--user"), system: of("--system"), labelled: of("--labelled"), unknown: of("--unknown") };
}

function span() {  // first frame and number of frames in view
  const zoom = Number($("zoom").value), shown = zoom ? Math.min(chosen.num_frames, Math.round(zoom * chosen.fps)) : chosen.num_frames;
  return [Math.max(0, Math.min(chosen.num_frames - shown, tick - Math.floor(shown / 2))), shown];
}

function layout() {  // what lies where, from top to bottom
  const parts = [{ kind: "who", top: AXIS, height: ROW, name: "who" }];
  const add = (part) => parts.push({ ...part, top: parts.at(-1).top + parts.at(-1).height + GAP });
  if (chosen.instructions.length) add({ kind: "instruction", height: ROW + 4, name: "instruction" });
  for (const row of chosen.rows) add({ kind: "held", height: ROW, ...row });
  for (const axis of ["dx", "dy", "scroll"])
    if (chosen[axis].length) add({ kind: "motion", height: MOTION, name: axis === "scroll" ? "wheel" : axis, values: chosen[axis],
      label: chosen[`label_${axis}`] || [] });
  return parts;
}

function drawTimeline() {
  const parts = layout(), [first, shown] = span(), ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = parts.at(-1).top + parts.at(-1).height + 4;
  if (width <= GUTTER) return;  // not laid out yet; the ResizeObserver comes back
  canvas.style.height = `${height}px`;
  const key = [chosen.index, first, shown, width, ratio, matchMedia("(prefers-color-scheme: dark)").matches].join();
  const colour = colours(), x = (frame) => GUTTER + ((frame - first) / shown) * (width - GUTTER);
  if (key !== drawn) {
    drawn = key;
    still.width = width * ratio;
    still.height = height * ratio;
    drawStill(still.getContext("2d"), parts, first, shown, width, height, ratio, colour, x);
  }
  if (canvas.width !== still.width || canvas.height !== still.height) { canvas.width = still.width; canvas.height = still.height; }
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(still, 0, 0);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const left = x(tick), one = Math.max(2, x(tick + 1) - left);
  context.globalAlpha = 0.25;
  context.fillStyle = colour.text;
  context.fillRect(left, AXIS - 2, one, height);
  context.globalAlpha = 1;
  context.fillRect(left, AXIS - 2, 1.5, height);
}

function drawStill(context, parts, first, shown, width, height, ratio, colour, x) {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  drawAxis(context, first, shown, width, height, colour, x);
  for (const part of parts) {
    context.fillStyle = colour.back;
    context.fillRect(GUTTER, part.top, width - GUTTER, part.height);
    context.fillStyle = colour.dim;
    context.textAlign = "right";
    context.fillText(part.name.length > 13 ? `${part.name.slice(0, 12)}…` : part.name, GUTTER - 8, part.top + part.height / 2);
    if (part.kind === "who") drawRuns(context, chosen.who, part, first, shown, x, (who) => colour[who]);
    else if (part.kind === "instruction") drawInstructions(context, part, first, shown, colour, x);
    else if (part.kind === "held") {
      drawFlat(context, part.runs, part.top, part.height, first, shown, colour.lit, x);
      drawFlat(context, part.label, part.top + part.height - 3, 3, first, shown, colour.labelled, x);
    } else drawMotion(context, part, first, shown, colour, x);
  }
}

function drawAxis(context, first, shown, width, height, colour, x) {
  const seconds = shown / chosen.fps, rough = (seconds * 90) / Math.max(90, width - GUTTER);
  const step = [0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600].find((each) => each >= rough) || 7200;
  context.textAlign = "center";
  for (let at = Math.ceil(first / chosen.fps / step) * step; at * chosen.fps <= first + shown; at += step) {
    const left = x(at * chosen.fps);
    context.fillStyle = colour.line;
    context.fillRect(left, AXIS - 4, 1, height);
    if (left > width - 20) continue;
    context.fillStyle = colour.dim;
    const whole = Math.floor(at % 60), text = step < 1 ? (at % 60).toFixed(2).padStart(5, "0") : String(whole).padStart(2, "0");
    context.fillText(`${Math.floor(at / 60)}:${text}`, left, AXIS / 2 - 1);
  }
}

function drawFlat(context, flat, top, height, first, shown, colour, x) {
  context.fillStyle = colour;
  for (let i = 0; i < flat.length; i += 2) {
    const start = Math.max(flat[i], first), end = Math.min(flat[i] + flat[i + 1], first + shown);
    if (end > start) context.fillRect(x(start), top, Math.max(1, x(end) - x(start) - (x(end) - x(start) > 4 ? 0.5 : 0)), height);
  }
}

function drawRuns(context, runs, part, first, shown, x, colourOf) {
  for (const [start, length, value] of runs) drawFlat(context, [start, length], part.top, part.height, first, shown, colourOf(value), x);
}

function drawInstructions(context, part, first, shown, colour, x) {
  chosen.instructions.forEach(([start, length, text], index) => {
    const from = Math.max(start, first), to = Math.min(start + length, first + shown);
    if (to <= from) return;
    const left = x(from), wide = Math.max(1, x(to) - left);
    context.globalAlpha = index % 2 ? 0.3 : 0.45;
    context.fillStyle = colour.system;
    context.fillRect(left, part.top, wide - (wide > 4 ? 1 : 0), part.height);
    context.globalAlpha = 1;
    if (wide < 30) return;
    context.save();
    context.beginPath();
    context.rect(left, part.top, wide - 4, part.height);
    context.clip();
    context.fillStyle = colour.text;
    context.textAlign = "left";
    context.fillText(text, left + 5, part.top + part.height / 2);
    context.restore();
  });
}

function drawMotion(context, part, first, shown, colour, x) {
  const middle = part.top + part.height / 2, most = part.values.reduce((high, value) => Math.max(high, Math.abs(value)), 1);
  const down = part.name === "dy" ? 1 : -1;  // right and the wheel away from the hand are up, down is down
  const reach = (value) => (down * Math.sign(value) * Math.sqrt(Math.abs(value) / most) * (part.height - 4)) / 2;
  context.fillStyle = colour.dim;
  context.fillRect(GUTTER, middle, x(first + shown) - GUTTER, 0.5);
  for (const [values, fill, share] of [[part.values, colour.lit, 1], [part.label, colour.labelled, 0.4]]) {
    context.fillStyle = fill;
    for (let frame = first; frame < first + shown && values.length; frame++) {
      if (!values[frame]) continue;
      const wide = Math.max(1, (x(frame + 1) - x(frame)) * share - 0.5), high = reach(values[frame]);
      context.fillRect(x(frame), Math.min(middle, middle + high), wide, Math.max(1, Math.abs(high)));
    }
  }
}

// ---- keyboard and mouse of the viewer

function setSpeed() {
  video.playbackRate = video.defaultPlaybackRate = Number($("speed").value);
}

function togglePlay() {
  if (!hasPictures()) return;
  if (!video.paused) { step(0); return; }  // a busy browser shows a last frame without telling: back to the one we know
  if (tick >= chosen.num_frames - 1) seek(0);
  video.play();
}

function step(by) {
  video.pause();
  seek((video.seeking ? wanted : tick) + by);
}

function onTimeline(event) {
  if (!(event.buttons & 1)) return;
  const box = canvas.getBoundingClientRect(), [first, shown] = dragSpan || (dragSpan = span());
  video.pause();
  seek(Math.floor(first + ((event.clientX - box.left - GUTTER) / (box.width - GUTTER)) * shown));
}
let dragSpan = null;  // the view that a drag began in: the timeline must not run away under the finger

const KEYS = { " ": () => togglePlay(), k: () => togglePlay(), ArrowLeft: (e) => step(e.shiftKey ? -Math.round(chosen.fps) : -1),
  ArrowRight: (e) => step(e.shiftKey ? Math.round(chosen.fps) : 1), Home: () => step(-Infinity), End: () => step(chosen.num_frames) };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT"].includes(event.target.tagName) && event.target !== bar) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act(event);
}

function filterIndex() {
  const words = $("filter").value.toLowerCase().split(/\s+/);
  for (const row of document.querySelectorAll("#index tbody tr"))
    row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
}

function neighbour(by) {
  const rows = [...document.querySelectorAll("#index tbody tr[data-index]")].filter((row) => !row.hidden).map((row) => Number(row.dataset.index));
  const next = rows[rows.indexOf(chosen.index) + by];
  if (next !== undefined) choose(next);
}

function watchPictures() {
  if ("requestVideoFrameCallback" in HTMLVideoElement.prototype) {
    const presented = (now, frame) => { show(frameAt(frame.mediaTime)); video.requestVideoFrameCallback(presented); };
    video.requestVideoFrameCallback(presented);
    return;
  }
  const look = () => { if (!video.paused && !video.seeking) show(frameAt(video.currentTime)); requestAnimationFrame(look); };
  look();
}

function begin() {
  video.addEventListener("loadedmetadata", () => { setSpeed(); seek(wanted); });
  video.addEventListener("seeked", settled);
  video.addEventListener("error", () => {
    if (!url) return;
    $("missing").textContent = "This browser cannot play the video (H.264). The timeline works without it.";
    $("missing").hidden = false;
  });
  for (const kind of ["play", "pause", "ended"]) video.addEventListener(kind, () => {
    $("play").textContent = video.paused ? "▶ play" : "❚❚ pause";
  });
  video.addEventListener("ended", () => seek(chosen.num_frames - 1));  // a busy browser may not have presented the last
  video.addEventListener("click", togglePlay);
  $("play").addEventListener("click", togglePlay);
  $("back").addEventListener("click", () => step(-1));
  $("on").addEventListener("click", () => step(1));
  $("speed").addEventListener("change", setSpeed);
  $("zoom").addEventListener("change", drawTimeline);
  bar.addEventListener("input", () => { video.pause(); seek(Number(bar.value)); });
  number.addEventListener("change", () => { video.pause(); seek(Number(number.value)); });
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); onTimeline(event); });
  canvas.addEventListener("pointermove", onTimeline);
  canvas.addEventListener("pointerup", () => { dragSpan = null; });
  addEventListener("keydown", onKey);
  new ResizeObserver(drawTimeline).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTimeline);
  if ($("index")) {
    $("filter").addEventListener("input", filterIndex);
    document.querySelector("#index tbody").addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-index]");
      if (!row) return;
      event.preventDefault();  // the address keeps what it was opened with: a link to where it is already does nothing
      choose(Number(row.dataset.index));
      $("player").scrollIntoView({ block: "nearest" });
    });
    $("previous").addEventListener("click", () => neighbour(-1));
    $("next").addEventListener("click", () => neighbour(1));
  } else $("step").hidden = true;
  watchPictures();
  addEventListener("hashchange", fromHash);
  fromHash();
}

function fromHash() {  // #N or #N@FRAME
  const match = /^#(\d+)(?:@(\d+))?$/.exec(location.hash), first = document.querySelector('script[id^="data-"]');
  if (!first) return;
  const index = match && $(`data-${match[1]}`) ? Number(match[1]) : Number(first.id.slice(5));
  choose(index, match && match[2] ? Math.min(Number(match[2]), 1e9) : 0);
}

begin();
