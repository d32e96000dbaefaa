"use strict";
// Shows what `Viewer` sends, and sends keyboard and mouse while this page is in control. A message to us: the length
// of the facts (uint32), the facts (JSON), the picture (JPEG). A message from us: JSON, see `Viewer._receive`.

const ALWAYS = ["q", "w", "e", "a", "s", "d", "LeftShift", "Space"];
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

const at = (id) => document.getElementById(id);
const picture = at("picture"), pen = picture.getContext("2d");
const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/play${location.search}`);
socket.binaryType = "arraybuffer";
const keys = new Set(), buttons = new Set();
let dx = 0, dy = 0, scroll = 0, inControl = false, timer = 0, times = [];

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
  at("turn").textContent = { agent: "the agent plays", person: "a person plays", nobody: "ended" }[facts.turn];
  const held = facts.keys || [];
  at("keys").replaceChildren(...[...new Set([...ALWAYS, ...held])].map((key) => {
    const cap = document.createElement("span");
    cap.textContent = key.length === 1 ? key.toUpperCase() : key;
    cap.className = held.includes(key) ? "lit" : "";
    return cap;
  }));
  for (const button of ["0", "1", "2"]) at(`button-${button}`).classList.toggle("lit", (facts.buttons || []).includes(button));
  const moved = Math.hypot(facts.dx || 0, facts.dy || 0), reach = moved ? 46 * Math.min(1, Math.log1p(moved) / 6) / moved : 0;
  at("moved").setAttribute("x2", (facts.dx || 0) * reach);
  at("moved").setAttribute("y2", (facts.dy || 0) * reach);
  const now = performance.now();
  times = [...times.filter((time) => now - time < 1000), now];
  at("figures").textContent = `${times.length} pictures/s` + (facts.turn === "agent" ? facts.late ? ", late" : facts.latency_ms ? `, ${facts.latency_ms} ms` : "" : "");
  at("controls").hidden = facts.resume === null;
  at("thumbs").hidden = facts.thumbs === null;
  if (facts.thumbs !== null) at("figures").textContent += `, thumbs ${facts.thumbs}`;
  at("help").textContent = facts.resume === null ? "" : inControl
    ? `${facts.resume} lets the agent resume, ${facts.panic} ends play, Esc gives you your mouse back`
    : facts.thumbs === null ? "click into the picture to play yourself"
    : "arrow up and down rate the agent; click into the picture to play yourself";
}

socket.onopen = () => say({ shown: -1 });
socket.onmessage = (event) => show(event.data);
socket.onclose = () => {
  leave();
  at("turn").className = "gone";
  at("turn").textContent = "the play has ended";
};

for (const [kind, change] of [["keydown", (name) => keys.add(name)], ["keyup", (name) => keys.delete(name)]]) {
  window.addEventListener(kind, (event) => {
    const name = keyName(event.code);
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
