"use strict";
// Shows what `Viewer` sends, and sends keyboard and mouse while this page is in control. A message to us: the length
// of the facts (uint32), the facts (JSON), the picture (JPEG). A message from us: JSON, see `Viewer._receive`.

const USUAL = ["q", "w", "e", "a", "s", "d", "LeftShift", "Space"];
const BUTTONS = { 0: "0", 2: "1", 1: "2", 3: "3", 4: "4" }; // the browser counts left, middle, right
const NAMED = {
  Space: "Space", Enter: "Enter", Tab: "Tab", Escape: "Escape", Backspace: "Backspace", CapsLock: "CapsLock",
  ShiftLeft: "LeftShift", ShiftRight: "RightShift", ControlLeft: "LeftControl", ControlRight: "RightControl",
  AltLeft: "LeftAlt", AltRight: "RightAlt", MetaLeft: "LeftWin", MetaRight: "RightWin", ContextMenu: "Menu",
  ArrowUp: "UpArrow", ArrowDown: "DownArrow", ArrowLeft: "LeftArrow", ArrowRight: "RightArrow",
  Minus: "Minus", Equal: "Equal", BracketLeft: "LeftBracket", BracketRight: "RightBracket", Backslash: "Backslash",
  Semicolon: "Semicolon", Quote: "Apostrophe", Backquote: "GraveAccent", Comma: "Comma", Period: "Period",
  Slash: "Slash", Insert: "Insert", Delete: "Delete", Home: "Home", End: "End", PageUp: "PageUp", PageDown: "PageDown",
  PrintScreen: "PrintScreen", ScrollLock: "ScrollLock", Pause: "Pause", NumLock: "NumLock",
  NumpadAdd: "Add", NumpadSubtract: "Subtract", NumpadMultiply: "Multiply", NumpadDivide: "Divide",
  NumpadDecimal: "Decimal", NumpadEnter: "Enter",
};
const BEAT_MS = 100;
const NOTCH_PX = 120;
const AGAIN_MS = 1000;
const TAP_MS = 250, TAP_PX = 8;

const at = (id) => document.getElementById(id);
const picture = at("picture"), pen = picture.getContext("2d");
let socket = null, hasEnded = false;
const keys = new Set(), buttons = new Set();
let dx = 0, dy = 0, scroll = 0, inControl = false, timer = 0, lates = [], caps = new Map(), touch = null;

function keyName(code) {
  if (/^Key[A-Z]$/.test(code)) return code[3].toLowerCase();
  if (/^Digit\d$/.test(code)) return code[5];
  if (/^Numpad\d$/.test(code)) return code[6];
  return /^F\d+$/.test(code) ? code : NAMED[code];
}

function say(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function sendInput() {
  say({ input: { keys: [...keys], buttons: [...buttons], dx: Math.round(dx), dy: Math.round(dy), scroll: Math.round(scroll) } });
  dx -= Math.round(dx); dy -= Math.round(dy); scroll -= Math.round(scroll);
}

function take() {
  if (inControl || at("controls").hidden) return;
  inControl = true;
  picture.classList.add("held");
  picture.focus();
  const lock = picture.requestPointerLock && picture.requestPointerLock();
  if (lock && lock.catch) lock.catch(() => {}); // keys work without it, and the mouse inside the picture
  timer = setInterval(sendInput, BEAT_MS);
}

function leave() {
  if (!inControl) return;
  inControl = false;
  picture.classList.remove("held");
  clearInterval(timer);
  keys.clear(); buttons.clear(); dx = dy = scroll = 0;
  sendInput();
  if (document.pointerLockElement) document.exitPointerLock();
}

function resume() {
  leave();
  say({ resume: true });
}

function rate(thumb) {
  say({ thumb });
}

async function show(data) {
  const length = new DataView(data).getUint32(0);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const image = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
  if (picture.width !== image.width || picture.height !== image.height) [picture.width, picture.height] = [image.width, image.height];
  pen.drawImage(image, 0, 0);
  image.close();
  say({ shown: facts.frame });
  showFacts(facts);
}

function showFacts(facts) {
  at("task").textContent = facts.task;
  at("instruction").textContent = facts.instruction ? `“${facts.instruction}”` : "";
  at("turn").className = facts.turn;
  at("turn").textContent = { agent: "the agent plays", person: inControl ? "you play" : "a person plays", nobody: "ended" }[facts.turn];
  showKeys(facts.game_keys.length ? facts.game_keys : USUAL, facts.keys || []);
  for (const button of ["0", "1", "2"]) at(`button-${button}`).classList.toggle("lit", (facts.buttons || []).includes(button));
  const moved = Math.hypot(facts.dx || 0, facts.dy || 0), reach = moved ? 46 * Math.min(1, Math.log1p(moved) / 6) / moved : 0;
  at("moved").setAttribute("x2", (facts.dx || 0) * reach);
  at("moved").setAttribute("y2", (facts.dy || 0) * reach);
  lates = [...lates.slice(-39), facts.turn === "agent" && Boolean(facts.late)];
  at("figures").textContent = [
    facts.left_s === null || facts.left_s === undefined ? "" : `${clock(facts.left_s)} left`,
    facts.score_name ? `${facts.score_name}: ${Math.round(facts.score * 10) / 10}` : "",
    facts.thumbs === null ? "" : `thumbs: ${facts.thumbs}`,
    lates.filter(Boolean).length > 4 ? "the agent acts late" : "",
  ].filter(Boolean).join(" · ");
  at("controls").hidden = facts.resume === null;
  at("thumbs").hidden = facts.thumbs === null;
  at("tell").hidden = !facts.can_tell;
  at("give").hidden = facts.turn === "agent";
  at("take").hidden = inControl;
  const isTouched = matchMedia("(pointer: coarse)").matches, clicks = isTouched ? "touch" : "click into";
  at("help").textContent = facts.resume === null ? "" : inControl
    ? isTouched ? "hold the keys below the picture, drag in it to look around, tap it to click" : `${facts.resume} lets the agent resume, ${facts.panic} ends play, Esc gives you your mouse back`
    : facts.thumbs === null ? `${clicks} the picture to play yourself`
    : `arrow up and down rate the agent; ${clicks} the picture to play yourself`;
  if (facts.ended) end(facts.ended);
}

function clock(seconds) {
  const two = (number) => String(number).padStart(2, "0"), minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes}:${two(seconds % 60)}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

// One cap per key, which stays the same element: a finger may rest on it. Touched, it is held.
function showKeys(always, held) {
  const shown = new Set([...always, ...held, ...keys]);
  for (const [key, cap] of caps) if (!shown.has(key)) { cap.remove(); caps.delete(key); }
  for (const key of shown) {
    if (!caps.has(key)) caps.set(key, newCap(key));
    caps.get(key).className = held.includes(key) ? "lit" : "";
  }
}

function newCap(key) {
  const cap = document.createElement("span");
  cap.textContent = key.length === 1 ? key.toUpperCase() : key.replace(/([a-z])(?=[A-Z])/g, "$1 ");
  cap.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    take();
    if (!inControl) return;
    cap.setPointerCapture(event.pointerId);
    keys.add(key);
    sendInput();
  });
  for (const kind of ["pointerup", "pointercancel"]) cap.addEventListener(kind, () => { if (keys.delete(key)) sendInput(); });
  at("keys").append(cap);
  return cap;
}

function end(why) {
  hasEnded = true;
  leave();
  at("turn").className = "gone";
  at("turn").textContent = "ended";
  at("end").textContent = `Play has ended: ${why.replace(/\.$/, "")}.`;
  at("end").hidden = false;
  for (const id of ["controls", "thumbs", "tell", "help"]) at(id).hidden = true;
}

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/play${location.search}`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => say({ shown: -1 });
  socket.onmessage = (event) => show(event.data);
  socket.onclose = () => {
    if (hasEnded) return;
    leave();
    at("turn").className = "gone";
    at("turn").textContent = "no connection, trying again";
    setTimeout(connect, AGAIN_MS);
  };
}

for (const [kind, change] of [["keydown", (name) => keys.add(name)], ["keyup", (name) => keys.delete(name)]]) {
  window.addEventListener(kind, (event) => {
    const name = keyName(event.code);
    if (event.target === at("wish")) return undefined;
    if (!inControl && !at("thumbs").hidden && kind === "keydown" && /^(Up|Down)Arrow$/.test(name)) {
      event.preventDefault();
      return event.repeat || rate(name === "UpArrow" ? "up" : "down");
    }
    if (!inControl || !name) return;
    event.preventDefault();
    if (event.repeat) return;
    change(name);
    sendInput();
  });
}
// A finger moves the mouse by where it goes, and clicks where it taps.
picture.addEventListener("pointerdown", (event) => {
  if (event.pointerType === "mouse") return;
  event.preventDefault();
  if (!inControl) return take();
  picture.setPointerCapture(event.pointerId);
  touch = { x: event.clientX, y: event.clientY, way: 0, since: performance.now() };
});
picture.addEventListener("pointermove", (event) => {
  if (!touch || !inControl || event.pointerType === "mouse") return;
  const scale = picture.width / picture.clientWidth, [x, y] = [event.clientX - touch.x, event.clientY - touch.y];
  [dx, dy] = [dx + x * scale, dy + y * scale];
  touch = { ...touch, x: event.clientX, y: event.clientY, way: touch.way + Math.hypot(x, y) };
});
picture.addEventListener("pointerup", () => {
  const isTap = touch && inControl && touch.way < TAP_PX && performance.now() - touch.since < TAP_MS;
  touch = null;
  if (!isTap) return;
  buttons.add("0");
  sendInput();
  setTimeout(() => { if (buttons.delete("0")) sendInput(); }, BEAT_MS);
});
picture.addEventListener("mousedown", (event) => {
  event.preventDefault();
  if (!inControl) return take();
  buttons.add(BUTTONS[event.button]);
  sendInput();
});
window.addEventListener("mouseup", (event) => {
  if (inControl && buttons.delete(BUTTONS[event.button])) sendInput();
});
picture.addEventListener("mousemove", (event) => {
  if (inControl) [dx, dy] = [dx + event.movementX, dy + event.movementY];
});
picture.addEventListener("wheel", (event) => {
  if (!inControl) return;
  event.preventDefault();
  scroll -= Math.sign(event.deltaY) * NOTCH_PX;
}, { passive: false });
picture.addEventListener("contextmenu", (event) => event.preventDefault());
document.addEventListener("pointerlockchange", () => { if (!document.pointerLockElement) leave(); });
window.addEventListener("blur", leave);
window.setInterval(() => { if (inControl && (dx || dy || scroll)) sendInput(); }, 25);
at("take").onclick = take;
at("give").onclick = resume;
for (const thumb of ["up", "down"]) at(thumb).onclick = () => rate(thumb);
at("stop").onclick = () => say({ stop: true });
at("wish").onfocus = leave;
at("tell").onsubmit = (event) => {
  event.preventDefault();
  say({ instruction: at("wish").value });
  at("wish").value = "";
  at("wish").blur();
};
connect();
