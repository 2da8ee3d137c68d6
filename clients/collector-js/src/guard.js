// What stands between the collector and a page that may have changed, blocked or broken anything: no error leaves through here, and nothing is
// read that the page's prototypes say.

/** What `work` gives, or `otherwise` when it throws. */
export function attempt(work, otherwise) {
  try {
    return work();
  } catch (_) {
    return otherwise;
  }
}

/** Milliseconds since 1970, or 0 when the page's clock gives no time. */
export function now() {
  const time = +attempt(() => Date.now());
  return time > 0 && time < 8e15 ? Math.floor(time) : 0;
}

/** A property that the object itself has. */
export function own(object, name) {
  return object && Object.prototype.hasOwnProperty.call(object, name) ? object[name] : undefined;
}

/** JSON in ASCII, whatever `JSON.stringify` or a `toJSON` on the page's prototypes would make of it. Fields without a value (also 0) are left out. */
export function json(value) {
  if (typeof value === "string") {
    return '"' + value.replace(/[^ !#-[\]-~]/g, (one) => "\\u" + ("000" + one.charCodeAt(0).toString(16)).slice(-4)) + '"';
  }
  if (Array.isArray(value)) {
    return "[" + value.map(json) + "]";
  }
  if (value && typeof value === "object") {
    const fields = Object.keys(value).filter((name) => value[name]);
    return "{" + fields.map((name) => json(name) + ":" + json(value[name])) + "}";
  }
  return "" + value;
}

/** A random id of 32 hexadecimal digits. */
export function randomId() {
  const bytes = attempt(() => crypto.getRandomValues(new Uint8Array(16)), new Uint8Array(16).map(() => Math.random() * 256));
  return [...bytes].map((byte) => (256 + byte).toString(16).slice(1)).join("");
}

/** What was percent-encoded, or nothing when it is badly so. */
export function decoded(text) {
  return attempt(() => decodeURIComponent(text.replace(/\+/g, "%20")), "");
}
