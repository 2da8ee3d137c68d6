// What a product may set, and what holds when it does not.
import { attempt, own } from "./guard.js";

const DEFAULTS = {
  endpoint: "", // where payloads are posted; without one nothing is
  send: "steps", // "steps": at SIGNUP, SIGN_IN, SHARE, CHECKOUT, PURCHASE; "all": page views as well
  consent: "pending", // "granted", "denied", "pending"
  gpc: true, // Global Privacy Control counts as denied
  dnt: false, // Do Not Track counts as denied
  params: ["ucc", "cello_ucc"], // parameters that hold a code
  deepLinks: ["deep_link", "deep_link_value", "link", "referrer"], // parameters that hold a link which holds a code
  keep: "last", // of two codes: "last" or "first"
  name: "selfsame", // of the cookie, the localStorage entry, the hand-over's parameter and the payload's form field
  domain: "", // of the cookie, for subdomains
  days: 90,
  otherCookies: [], // cookies of other libraries that hold a code
  forms: "form[data-selfsame]", // these get the hidden fields
  field: "ucc", // the hidden field of the code; hidden inputs of this name are filled in every form
  codeField: "[data-selfsame-code]", // an input where a person types a code
  handOver: [], // domains of the same product
  schemes: [], // schemes of the product's app, like "myapp:"; links to them get the code
  pages: [], // words of paths that may stand in path tokens
  path: null, // (pathname) => token, in place of the list of words
  fingerprint: null, // a device fingerprint of another library: text, or a function that gives it or a promise of it
  timeoutMs: 2000,
  credentials: "same-origin",
};

/** The options with the defaults filled in; one of another type than its default counts as not given. */
export function optionsOf(given) {
  const options = {};
  for (const name of Object.keys(DEFAULTS)) {
    const usual = DEFAULTS[name];
    const value = own(given, name);
    options[name] = value != null && value === value && (usual === null || typeof value === typeof usual) ? value : usual;
  }
  return options;
}

/** Options from the attributes of a script element: `data-hand-over="a.example, b.example"`. */
export function optionsOfElement({ dataset }) {
  const options = {};
  for (const name of Object.keys(dataset)) {
    const text = dataset[name];
    options[name] = Array.isArray(DEFAULTS[name]) ? text.split(/[\s,]+/) : attempt(() => JSON.parse(text), text);
  }
  return options;
}
