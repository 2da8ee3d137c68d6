// The classic script: `selfsame("track", "SIGNUP")` gives a promise that never fails. It takes over what the stub queued, and starts by itself when its script
// element says where to post.
import { attempt } from "./guard.js";
import { start } from "./collector.js";
import { optionsOfElement } from "./options.js";

attempt(() => {
  const stub = window.selfsame;
  if (stub && stub.loaded) return;
  // Not of an element that a page gave this id.
  const { queue, address } = typeof stub === "function" ? stub : {};
  let collector;
  const call = (words) => {
    if (words[0] === "start") return void (collector = start(words[1], address));
    return collector && Object.prototype.hasOwnProperty.call(collector, words[0]) ? collector[words[0]](...words.slice(1)) : undefined;
  };
  const selfsame = (...words) => new Promise((resolve) => resolve(attempt(() => call(words))));
  selfsame.loaded = true;
  const element = document.currentScript;
  window.selfsame = selfsame;
  if (element && ("endpoint" in element.dataset || "consent" in element.dataset)) collector = attempt(() => start(optionsOfElement(element), address));
  attempt(() => queue.forEach(([words, resolve]) => resolve(attempt(() => call([].slice.call(words))))));
});
