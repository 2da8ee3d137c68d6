// The hand-over to another domain of the same product: the record's card, when it was made, and a check. It lives for two minutes and is bound to how this
// browser looks, so that a link that was copied and sent to a friend does not make one browser of two.
import { cardOf, ofText } from "./record.js";
import { device } from "./device.js";

const LIFETIME_MS = 12e4;

// Keeps copies by mistake out; that the referring page must be the product's is what keeps strangers out.
function check(text) {
  let hash = 7;
  // Not languages and screen: some browsers tell each site others, and a window moves between screens.
  const { userAgent, platform, timeZone } = device();
  const all = [text, userAgent, platform, timeZone].join();
  for (let i = 0; i < all.length; i += 1) hash = (hash * 31 + all.charCodeAt(i)) % 4294967291;
  return hash.toString(36);
}

/** What is added to a link at `now`. */
export function handOver(record, now) {
  const text = cardOf(record) + "*" + now.toString(36);
  return text + "*" + check(text);
}

/** What was handed over; nothing when it is too old, of another browser, or not one. */
export function takenOver(value, now) {
  const [, text, card, made, sum] = /^((.*)\*(\w+))\*(\w+)$/.exec(value) || [];
  const age = now - parseInt(made, 36);
  return age >= 0 && age <= LIFETIME_MS && check(text) === sum && ofText(card);
}

/** Whether a host is one of these domains or below one. */
export function isOf(host, domains) {
  return domains.some((domain) => ("." + host).endsWith("." + domain));
}
