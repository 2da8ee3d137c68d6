// The collector: what is captured when, what consent allows, and what is posted. Start reading at `start`.
// It must never throw into the page, delay it, or keep anything before consent; guard.js and the browser's tests hold it to that.
import { attempt, json, now, own, randomId } from "./guard.js";
import { codeIn, codeOf, parameters, urlOf, without, withParameter } from "./code.js";
import { pathToken, PLAIN, token } from "./path.js";
import { aged, emptyRecord, KINDS, merged, mergedCode, stepped } from "./record.js";
import { cookies, homes, WIPED } from "./homes.js";
import { device } from "./device.js";
import { handOver, isOf, takenOver } from "./handover.js";
import { optionsOf } from "./options.js";

// A payload that never arrives is sent again on this many later pages.
const OWED_MAX = 5;

let started;

/** Starts collecting on this page, once: a second call gives the same collector. */
export function start(given, address) {
  return started || (started = collector(optionsOf(given), address));
}

// `arrivedAt`: the address when the stub ran; a router may have changed it since.
function collector(options, arrivedAt) {
  const home = homes(options);
  // The truth while nothing may be kept; beside the homes, a copy.
  let record = emptyRecord();
  let consent = options.consent;
  let fingerprint;
  let account;
  let capturedAt;
  let looking;
  let moving;
  let lastPath;
  let waiting = [];
  const filled = new Set();

  // ---- consent

  const refused = () => attempt(() => (options.gpc && navigator.globalPrivacyControl) || (options.dnt && navigator.doNotTrack === "1"));
  const denied = () => consent === "denied" || refused();
  const granted = () => consent === "granted" && !refused();

  // Takes in what other tabs and earlier pages kept, changes it, and keeps it, when that is allowed.
  function update(change) {
    if (granted()) record = aged(merged(read(), record), now(), options.days);
    const code = record.code;
    // A code of a link was clicked, also where only the cookie came along: on another subdomain, or when localStorage was emptied.
    if (code && code.via !== "FORM" && !clicked()) record = stepped(record, "LINK_CLICK", code.at, "");
    if (change) record = change(record);
    if (!granted()) return;
    if (!record.id) record = { ...record, id: randomId(), born: now() };
    home.write(record);
  }

  const clicked = () => record.steps.some((one) => one[0] === "LINK_CLICK");

  function read() {
    const kept = home.read();
    // Read back, a link's code is a cookie's; the link of this very page is newer and wins.
    if (kept.code && kept.code.via === "LINK" && kept.code.at !== capturedAt) kept.code.via = "COOKIE";
    if (!kept.code) {
      const ucc = [].concat(...options.otherCookies.map(cookies)).map(codeOf).find(Boolean);
      if (ucc) kept.code = { ucc, via: "COOKIE", at: now(), previous: "" };
    }
    return kept;
  }

  // Another tab may have written at the same moment, without what this one had just written. A while later and once, or tabs would answer each other for ever.
  function lookAtHomes() {
    const kept = home.read();
    if (merged(kept, record).steps.length > kept.steps.length) update();
  }

  function setConsent(state) {
    const before = granted();
    consent = state;
    if (denied()) {
      home.wipe();
      forget();
    } else if (granted() && !before) {
      if (lastPath === undefined) arrive();
      update();
      learnFingerprint();
      fillAll();
      if (record.owed) send();
    }
  }

  // What the address of this page says is known again, in memory.
  function forget() {
    record = emptyRecord();
    account = fingerprint = lastPath = undefined;
    filled.forEach((input) => (input.value = ""));
    filled.clear();
    captureAddress();
    fillAll();
  }

  function learnFingerprint() {
    const given = options.fingerprint;
    Promise.resolve(attempt(() => (typeof given === "function" ? given() : given))).then((text) => {
      if (granted() && typeof text === "string" && PLAIN.test(text)) fingerprint = text;
    }, () => {});
  }

  // ---- what is captured

  function capture(ucc, via) {
    const code = record.code;
    if (code && (options.keep === "first" || (code.ucc === ucc && code.at === capturedAt))) return;
    // Later than the one before, whatever the clock says.
    capturedAt = Math.max(now(), code ? code.at + 1 : 1);
    record = { ...record, code: mergedCode({ ucc, via, at: capturedAt, previous: "" }, code) };
  }

  // The code of this address, when it has one.
  function captureAddress() {
    const found = attempt(() => codeIn(arrivedAt || location.href, options.params, options.deepLinks));
    arrivedAt = "";
    if (found) capture(found.ucc, found.via);
    return found;
  }

  // Takes over what another domain of the product handed over, and takes it off the address.
  function takeOver() {
    const value = parameters(arrivedAt || location.href, [options.name])[0];
    if (!value) return;
    attempt(() => history.replaceState(history.state, "", without(location.href, options.name)));
    if (denied() || !isOf(urlOf(document.referrer || "about:blank").hostname, options.handOver)) return;
    const other = takenOver(value, now());
    if (!other) return;
    record = merged(record, { ...other, id: "", others: other.id ? [other.id] : [] });
    // A browser without an id takes the one that it has elsewhere.
    if (!(granted() && home.read().id) && other.id) record = { ...record, id: other.id, born: other.born, others: [] };
  }

  function tokenOf(path) {
    return typeof options.path === "function" ? token(attempt(() => options.path(path), "")) : pathToken(path, options.pages);
  }

  const here = () => attempt(() => location.pathname + (/^#!?(\/[^?]*)/.exec(location.hash) || ["", ""])[1], "/");

  function step(kind, path, at = now()) {
    if (!denied()) update((record) => stepped(record, kind, at, path));
  }

  // The page that was loaded: a click on a link and a landing, or any other page.
  function arrive() {
    takeOver();
    update();
    // Loaded again, or come back to, is not clicked again.
    const isNew = !clicked() || attempt(() => performance.getEntriesByType("navigation")[0].type === "navigate", true);
    const lands = captureAddress() && isNew;
    if (lands && clicked()) step("LINK_CLICK", "", capturedAt);
    step(lands ? "LANDING" : "PAGE_VIEW", tokenOf((lastPath = here())));
  }

  // The address may have changed without a load. Its code is taken at once, for a router may take it off; what a page passes through is not seen.
  function moved() {
    captureAddress();
    clearTimeout(moving);
    moving = setTimeout(() => attempt(look), 0);
  }

  function look() {
    const path = here();
    if (path === lastPath || denied()) return;
    lastPath = path;
    step("PAGE_VIEW", tokenOf(path));
    fillAll();
    if (options.send === "all") send();
  }

  // ---- forms and links

  function fill(form) {
    const chosen = form.matches(options.forms);
    if (record.code) setHidden(form, options.field, record.code.ucc, chosen);
    return chosen;
  }

  // Sets the hidden inputs of a name, and adds one when there is no field of that name and `mayAdd`. What a person sees is left to the person.
  function setHidden(form, name, value, mayAdd) {
    const inputs = [...form.querySelectorAll("[name]")].filter((input) => input.name === name);
    if (!inputs.length && mayAdd) {
      const input = document.createElement("input");
      input.type = "hidden";
      input.name = name;
      inputs.push(form.appendChild(input));
    }
    for (const input of inputs) {
      if (input.type !== "hidden") continue;
      input.value = value;
      filled.add(input);
    }
  }

  // Just before a form leaves: the code; in chosen forms that are posted the payload, and for another domain of the product what is handed over.
  function complete(form) {
    const chosen = fill(form);
    const posted = /^post$/i.test(form.getAttribute("method"));
    const value = posted ? chosen && granted() && json(payload()) : handedTo(form.getAttribute("action") || "");
    if (value) setHidden(form, options.name, value, true);
  }

  const fillAll = () => attempt(() => document.querySelectorAll("form").forEach((form) => attempt(() => fill(form))));

  // What is handed over to an address; nothing when it is not of another domain of the product.
  function handedTo(address) {
    const { hostname, protocol } = urlOf(address);
    if (denied() || !/^https?:$/.test(protocol) || hostname === location.hostname || !isOf(hostname, options.handOver)) return "";
    update();
    return record.code || record.id ? handOver(record, now()) : "";
  }

  // An address with what is handed over, or, when it leads into the product's app, with the code.
  function decorate(address) {
    if (options.schemes.includes(urlOf(address).protocol)) return record.code ? withParameter(address, options.field, record.code.ucc) : address;
    const value = handedTo(address);
    return value ? withParameter(address, options.name, value) : address;
  }

  // Changes a link for as long as the browser follows it: a link that is copied later must not hold it.
  function decorateLink(link) {
    const before = link.getAttribute("href");
    const after = decorate(link.href);
    if (after === link.href) return;
    link.setAttribute("href", after);
    link.referrerPolicy = "origin";
    setTimeout(() => link.getAttribute("href") === after && link.setAttribute("href", before), 0);
  }

  function followed(event) {
    const link = event.composedPath()[0].closest("a[href]");
    if (link && event.button < 2) decorateLink(link);
  }

  function typed(text) {
    const ucc = codeOf(text);
    if (!ucc) return;
    update();
    capture(ucc, "FORM");
    update();
    fillAll();
  }

  // ---- what is posted

  const time = (at) => attempt(() => new Date(at).toISOString());

  /** What is known, in the API's own words; see payload.schema.json. */
  function payload() {
    update();
    const at = now();
    const { id, others, code, steps, total } = record;
    const touchpoints = steps.map(([kind, at, pathToken]) => ({ kind: "TOUCHPOINT_KIND_" + kind, occurredAt: time(at), pathToken }));
    return {
      version: 1,
      messageId: randomId(),
      sentAt: time(at),
      browserIds: id && [id, ...others],
      fingerprint,
      device: granted() && { ...device(), seenAt: time(at) },
      attribution: code && { capturedVia: "CAPTURED_VIA_" + code.via, ucc: code.ucc, previousUcc: code.previous, capturedAt: time(code.at) },
      journey: steps[0] && { touchpoints, touchpointCountTotal: total > steps.length && total },
      account,
    };
  }

  /** Posts soon, several calls at once: true when it arrived. Ends within the time-out, whatever the network does. */
  const send = () => new Promise((resolve) => waiting.push(resolve) > 1 || setTimeout(flush, 0));

  function flush() {
    const answered = waiting;
    if (!answered.length) return;
    waiting = [];
    const end = (arrived) => answered.forEach((resolve) => resolve(arrived));
    if (!options.endpoint || !granted()) return end(false);
    const posted = attempt(() => {
      update((record) => ({ ...record, owed: record.owed + 1 }));
      return deliver(json(payload()));
    });
    // Whatever failed, whoever waits is answered.
    Promise.resolve(posted || false).then((arrived) => {
      end(arrived);
      attempt(update);
      if (arrived || record.owed > OWED_MAX) attempt(() => rewrite({ owed: 0 }));
    });
  }

  // Past merging, which would bring back what was taken away.
  function rewrite(fields) {
    record = { ...record, ...fields };
    if (granted()) home.write(record);
  }

  function deliver(body) {
    const abort = attempt(() => new AbortController(), {});
    const late = new Promise((resolve) =>
      setTimeout(() => {
        resolve(false);
        attempt(() => abort.abort());
      }, options.timeoutMs),
    );
    // Text needs no question beforehand when it goes to another origin.
    const { href = options.endpoint, hostname } = urlOf(options.endpoint);
    const type = hostname === location.hostname ? "application/json" : "text/plain";
    const sent = attempt(() =>
      fetch(href, {
        method: "POST",
        body,
        headers: { "content-type": type },
        credentials: options.credentials,
        keepalive: true,
        redirect: "error",
        // The address of this page may hold what no payload may.
        referrerPolicy: "no-referrer",
        signal: abort.signal,
      })
        .then((answer) => answer.ok)
        .catch(() => false),
    );
    return Promise.race([late, sent || attempt(() => navigator.sendBeacon(href, new Blob([body], { type })), false)]);
  }

  // ---- what a page calls

  const self = {
    consent: setConsent,
    ucc: () => {
      update();
      return record.code ? record.code.ucc : "";
    },
    code: typed,
    track(kind, path) {
      if (!KINDS.includes(kind)) return Promise.resolve(false);
      step(kind, path === undefined ? tokenOf(here()) : token(path));
      // What happened before consent is told after it.
      if (!granted()) record = { ...record, owed: 1 };
      return send();
    },
    account(id, proof) {
      account = token(id) && { accountId: token(id), token: proof && "" + proof };
    },
    attach: (form) => [].concat(form).forEach((one) => (one.setAttribute("data-selfsame", ""), fill(one))),
    decorate,
    payload: () => JSON.parse(json(payload())),
    send,
    leave() {
      update();
      account = undefined;
      rewrite({ code: null, steps: [], total: 0, owed: 0 });
    },
  };
  const safe = {};
  Object.keys(self).forEach((name) => {
    safe[name] = (...words) => attempt(() => self[name](...words));
  });

  const on = (target, type, work) => attempt(() => target.addEventListener(type, (event) => attempt(() => work(event)), true));

  function begin() {
    if (denied()) {
      home.wipe();
      takeOver();
      captureAddress();
    } else arrive();
    if (granted()) learnFingerprint();
    fillAll();
    if (options.send === "all" || record.owed) send();
  }

  function listen() {
    ["pushState", "replaceState"].forEach((name) =>
      attempt(() => {
        const was = history[name];
        history[name] = function () {
          const result = was.apply(this, arguments);
          attempt(moved);
          return result;
        };
      }),
    );
    on(window, "popstate", moved);
    on(window, "click", followed);
    on(window, "auxclick", followed);
    on(window, "submit", ({ target }) => complete(target));
    on(window, "change", ({ target }) => target.matches(options.codeField) && typed(target.value));
    on(window, "focusin", ({ target }) => target.form && fill(target.form));
    on(document, "DOMContentLoaded", fillAll);
    on(window, "pagehide", flush);
    on(window, "online", () => record.owed && send());
    on(window, "pageshow", (event) => {
      if (!event.persisted) return;
      step("PAGE_VIEW", tokenOf((lastPath = here())));
      fillAll();
    });
    on(window, "storage", ({ key, newValue }) => {
      if (key !== options.name) return;
      if (newValue === WIPED) {
        // Another tab wiped everything.
        consent = "denied";
        forget();
      } else {
        clearTimeout(looking);
        looking = setTimeout(() => attempt(lookAtHomes), 50 + Math.random() * 200);
      }
    });
  }

  if (attempt(() => document.prerendering)) on(document, "prerenderingchange", begin);
  else attempt(begin);
  listen();
  return safe;
}
