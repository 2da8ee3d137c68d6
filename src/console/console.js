// The keyboard of the console. Every page works without it.
"use strict";

const rows = () => Array.from(document.querySelectorAll("tr[data-row]"));
const opener = (row) => row.querySelector("th a, td a");
const here = () => rows().findIndex((row) => row.contains(document.activeElement));

function move(step) {
  const all = rows();
  if (all.length === 0) return;
  const from = here();
  const to = from < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(from + step, 0), all.length - 1);
  opener(all[to]).focus();
  all[to].scrollIntoView({ block: "nearest" });
}

function select() {
  const row = rows()[here()];
  const box = row && row.querySelector("input[type=checkbox]");
  if (box) box.checked = !box.checked;
}

function press(key) {
  const button = document.querySelector(`button[data-key="${key}"]`);
  if (button) button.click();
  return button !== null;
}

// A form that is on its way is not sent twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) event.preventDefault();
  else if (form.method === "post") form.dataset.sent = "1";
});
window.addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => delete form.dataset.sent));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = document.getElementById("keys");
  if (keys && keys.open) return;
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const queue = document.querySelector("header nav a");
  const jump = document.getElementById("jump");
  const act = {
    j: () => move(1),
    k: () => move(-1),
    x: select,
    a: () => press("a"),
    r: () => press("r"),
    s: () => press("s"),
    u: () => press("u"),
    c: () => press("c"),
    n: () => press("n"),
    g: () => queue && queue.click(),
    "/": () => jump && jump.focus(),
    "?": () => keys && keys.showModal(),
  }[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});
