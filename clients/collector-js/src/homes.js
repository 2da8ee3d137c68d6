// Where the record is kept between pages: a first-party cookie (ids and code; all subdomains and the server see it) and localStorage (the steps as well).
// Either may be blocked, full, of another version or written by somebody else.
import { attempt, decoded } from "./guard.js";
import { cardOf, DAY_MS, merged, ofText, textOf } from "./record.js";

/** What other tabs see for a moment when everything is wiped. */
export const WIPED = "wiped";

/** The values of all cookies of a name: one of the host and one of the domain may both be there. */
export function cookies(name) {
  const pairs = attempt(() => document.cookie.split(/; */), []);
  return pairs.filter((pair) => pair.startsWith(name + "=")).map((pair) => decoded(pair.slice(name.length + 1)));
}

/** The homes of the record under one name. */
export function homes({ name, domain, days }) {
  function bake(value, of, seconds) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    attempt(() => (document.cookie = `${name}=${encodeURIComponent(value)}; Path=/; Max-Age=${seconds}; SameSite=Lax${of ? "; Domain=" + of : ""}${secure}`));
  }
  return {
    read() {
      const stored = ofText(attempt(() => localStorage.getItem(name)));
      return cookies(name).map(ofText).reduce(merged, stored);
    },
    write(record) {
      const card = cardOf(record);
      const seconds = (days * DAY_MS) / 1e3;
      bake(card, domain, seconds);
      // A domain that is not this host's is refused without a word.
      if (domain && !cookies(name).includes(card)) bake(card, "", seconds);
      attempt(() => localStorage.setItem(name, textOf(record)));
    },
    wipe() {
      bake("", domain, 0);
      bake("", "", 0);
      attempt(() => {
        if (localStorage.getItem(name)) localStorage.setItem(name, WIPED);
        localStorage.removeItem(name);
      });
    },
  };
}
