// What every page may know of the browser without looking closely: the plain, low-entropy attributes of the API's `DeviceSignals`. No canvas, no fonts, no
// audio, no high-entropy client hints.
import { attempt } from "./guard.js";

const plain = (text, max) => (typeof text === "string" ? text.replace(/[^ -~]/g, "").slice(0, max) : "");
const pixels = (length) => (length > 0 && length <= 32768 ? Math.round(length) : 0);

/** The attributes, as `DeviceSignals` names them; what the browser does not tell is empty. */
export function device() {
  const tags = attempt(() => [...navigator.languages].slice(0, 16).map((tag) => plain(tag, 128)).filter(Boolean), []);
  const width = pixels(attempt(() => screen.width));
  const height = pixels(attempt(() => screen.height));
  const sized = width && height;
  return {
    userAgent: plain(attempt(() => navigator.userAgent), 512),
    platform: plain(attempt(() => navigator.platform || navigator.userAgentData.platform), 128),
    timeZone: plain(attempt(() => Intl.DateTimeFormat().resolvedOptions().timeZone), 128),
    languages: tags.length && tags,
    screenWidthPx: sized && width,
    screenHeightPx: sized && height,
  };
}
