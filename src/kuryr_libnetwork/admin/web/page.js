// SPDX-FileCopyrightText: The kuryr-libnetwork authors
// SPDX-License-Identifier: Apache-2.0
// Asks the service how it is and who is wired where, again and again while the page is looked at, and shows it.

import { Board } from "./board.js";
import { Details } from "./details.js";
import { make } from "./dom.js";
import { listen } from "./keys.js";
import * as model from "./model.js";

const PAUSE = 2000; // ms between two questions
const PATIENCE = 8000; // ms for an answer
const element = (id) => document.getElementById(id);
const state = { wiring: null, query: "", onlyTroubles: false, unfolded: new Set(), closed: new Set(), selected: "" };
const board = new Board(element("tree"), element("uplinks"), element("rails"), element("board"));
const details = new Details(element("details"), { close, go });
const answers = new Map(); // by path: the last one, with its tag
let timer = 0;
let asking = false;
let lastAnswer = null;

// -- asking ---------------------------------------------------------------------------------------------------------

// The answer; the same object again if the service says that nothing has changed.
async function ask(path) {
  const known = answers.get(path);
  const headers = known?.tag ? { "If-None-Match": known.tag } : {};
  const options = { headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE) };
  const answer = await fetch(path, options);
  if (answer.status === 304) return known.told;
  const told = await answer.json();
  if (!answer.ok && !("live" in told)) throw new Error(told.error ?? `status ${answer.status}`);
  answers.set(path, { tag: answer.headers.get("ETag"), told });
  return told;
}

async function look() {
  clearTimeout(timer);
  if (asking || document.hidden) return;
  asking = true;
  try {
    const [health, { wiring }] = await Promise.all([ask("healthz"), ask("v1/wiring")]);
    lastAnswer = new Date();
    showHealth(health);
    take(wiring);
    showStale("");
  } catch (error) {
    const since = lastAnswer ? `; shown is how it was at ${lastAnswer.toLocaleTimeString()}` : "";
    showStale(`The service does not answer (${error.message})${since}.`);
  } finally {
    asking = false;
    timer = setTimeout(look, PAUSE);
  }
}

function take(wiring) {
  const before = state.wiring;
  state.wiring = wiring;
  if (before === wiring) return;
  draw();
  if (before) say(model.news(before, wiring));
}

// -- showing ----------------------------------------------------------------------------------------------------------

function draw() {
  const { wiring } = state;
  if (!wiring) return;
  const sections = model.sections(wiring, state);
  element("host").textContent = wiring.host;
  document.title = `${wiring.host} · kuryr`;
  board.draw(wiring, sections, state.selected);
  const troubles = [...wiring.wires, ...wiring.networks].filter(model.isTrouble).length;
  element("troubles-count").textContent = String(troubles);
  element("troubles").classList.toggle("has-troubles", troubles > 0);
  showFound(sections);
  if (state.selected) details.show(thing(state.selected), wiring);
}

function showFound(sections) {
  const { wiring, query, onlyTroubles } = state;
  const shown = sections.reduce((sum, section) => sum + section.wires.length + section.hidden.length, 0);
  const narrowed = query.trim() !== "" || onlyTroubles;
  const all = `${model.plural(wiring.networks.length, "network")}, ${model.plural(wiring.wires.length, "wire")}`;
  put("found", narrowed ? `${shown} of ${model.plural(wiring.wires.length, "wire")}` : all);
  const empty = element("empty");
  empty.hidden = sections.length > 0;
  if (sections.length) return;
  const [title, text] = !narrowed
    ? ["Nothing is wired here yet", "Once Docker has a network of the driver kuryr, it is shown here by itself."]
    : onlyTroubles && !query.trim()
      ? ["No troubles", "Every port is ACTIVE as far as it is known; nothing is suspected or in quarantine."]
      : ["Nothing matches", "Names, addresses, MACs, and ids of ports, interfaces and devices are searched."];
  empty.replaceChildren(make("h2", "", title), make("p", "", text));
}

function showHealth({ live, ready, reasons }) {
  element("health").dataset.state = ready ? "ready" : live ? "waits" : "hangs";
  put("health-text", ready ? "ready" : `${live ? "not ready" : "hangs"}: ${reasons.join("; ")}`);
}

function showStale(text) {
  put("stale", text);
  element("stale").hidden = !text;
  document.body.classList.toggle("is-stale", Boolean(text));
}

function say(text) {
  if (text) element("news").textContent = text;
}

// A text that is read aloud when it changes, and only then.
function put(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}

// -- acting -----------------------------------------------------------------------------------------------------------

function thing(key) {
  const { wires, networks } = state.wiring;
  return wires.find((wire) => wire.key === key) ?? networks.find((each) => `network:${each.docker_id}` === key) ?? null;
}

function open(item) {
  const { key } = item.dataset;
  if (key.startsWith("more:")) {
    flip(state.unfolded, key.slice("more:".length));
    draw();
    return;
  }
  if (!thing(key)) return; // the wires that are on no network
  state.selected = key;
  document.body.classList.add("has-details");
  details.show(thing(key), state.wiring);
  board.select(key);
  details.focus();
}

function toggle(item) {
  flip(state.closed, item.dataset.key.slice("network:".length));
  draw();
}

function flip(set, key) {
  if (!set.delete(key)) set.add(key);
}

function close() {
  const item = board.items.get(state.selected)?.element;
  state.selected = "";
  document.body.classList.remove("has-details");
  details.hide();
  board.select("");
  board.focus(item?.isConnected ? item : (board.visible()[0] ?? element("tree")));
}

function go(key) {
  const wire = thing(key);
  if (!wire) return;
  state.unfolded.add(wire.network);
  state.closed.delete(wire.network);
  state.selected = key;
  if (!model.sections(state.wiring, state).some((section) => section.wires.includes(wire))) {
    Object.assign(state, { query: "", onlyTroubles: false });
    element("search").value = "";
    element("troubles").setAttribute("aria-pressed", "false");
  }
  draw();
  board.items.get(key)?.element.scrollIntoView({ block: "nearest" });
  details.focus();
}

element("search").addEventListener("input", (event) => {
  state.query = event.target.value;
  draw();
});
element("troubles").addEventListener("click", () => {
  state.onlyTroubles = !state.onlyTroubles;
  element("troubles").setAttribute("aria-pressed", String(state.onlyTroubles));
  draw();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.selected) close();
  else if (event.key === "/" && !event.target.closest("input")) {
    event.preventDefault();
    element("search").focus();
  }
});
document.addEventListener("visibilitychange", look);
let width = 0;
new ResizeObserver(([entry]) => {
  if (Math.round(entry.contentRect.width) === width) return;
  width = Math.round(entry.contentRect.width);
  draw();
}).observe(element("board"));
listen(board, { open, toggle });
look();
