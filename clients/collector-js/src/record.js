// The record: what is known in this browser of one way to a conversion. How it is merged between tabs and homes, how it ages, and how it is written.
// Pure: no clock, no storage.
import { decoded } from "./guard.js";
import { codeOf } from "./code.js";
import { token } from "./path.js";

export const DAY_MS = 864e5;
/** Steps that are kept: the API keeps the first 32 and the last 96 as well. */
const FIRST = 32;
const LAST = 96;
// A browser's id ends after 13 months, however often it is seen (the most that data protection authorities grant a cookie).
const ID_DAYS = 395;
const OTHERS_MAX = 3;

export const KINDS = ["LINK_CLICK", "LANDING", "PAGE_VIEW", "SIGNUP", "SIGN_IN", "SHARE", "CHECKOUT", "PURCHASE"];
const VIAS = ["LINK", "COOKIE", "FORM", "DEEP_LINK"];

/** `id`: the browser's, made at `born`; `others`: ids that the same browser has elsewhere; `code`: {ucc, via, at, previous}; `steps`: [kind, at, path]. */
export const emptyRecord = () => ({ id: "", born: 0, others: [], code: null, steps: [], total: 0, owed: 0 });

/** What two homes or two tabs know, together. The older id stays, the newer code counts. In whatever order, and twice, it gives the same. */
export function merged(a, b) {
  const [older, newer] = !b.id || (a.id && (a.born < b.born || (a.born === b.born && a.id <= b.id))) ? [a, b] : [b, a];
  const others = [...older.others, newer.id, ...newer.others].filter((id) => id && id !== older.id);
  const steps = new Map([...a.steps, ...b.steps].map((step) => [step.join(" "), step]));
  return {
    id: older.id,
    born: older.born,
    others: [...new Set(others)].sort().slice(0, OTHERS_MAX),
    code: mergedCode(a.code, b.code),
    ...cut([...steps.values()], Math.max(a.total, b.total, steps.size)),
    owed: Math.max(a.owed, b.owed),
  };
}

/** Of two codes the later, with the one before it. */
export function mergedCode(a, b) {
  if (!a || !b) return a || b;
  const [last, before] = a.at > b.at || (a.at === b.at && a.ucc + a.via >= b.ucc + b.via) ? [a, b] : [b, a];
  return { ...last, previous: [last.previous, before.ucc, before.previous].find((ucc) => ucc && ucc !== last.ucc) || "" };
}

/** One step more. */
export const stepped = (record, kind, at, path) => ({ ...record, ...cut([...record.steps, [kind, at, path]], record.total + 1) });

function cut(steps, total) {
  steps.sort((a, b) => a[1] - b[1] || KINDS.indexOf(a[0]) - KINDS.indexOf(b[0]));
  return { steps: steps.length > FIRST + LAST ? [...steps.slice(0, FIRST), ...steps.slice(-LAST)] : steps, total };
}

/** Without what is older than `days`; what a wrong clock dated later than now is of now. */
export function aged(record, now, days) {
  const { id, born, others, code, owed } = record;
  const since = now - days * DAY_MS;
  const steps = record.steps.filter((step) => step[1] > since).map(([kind, at, path]) => [kind, Math.min(at, now), path]);
  return {
    ...(born > now - ID_DAYS * DAY_MS ? { id, born: Math.min(born, now), others } : { id: "", born: 0, others: [] }),
    code: code && code.at > since ? { ...code, at: Math.min(code.at, now) } : null,
    steps,
    total: record.total - record.steps.length + steps.length,
    owed,
  };
}

const packed = (parts) => parts.map(encodeURIComponent).join("*");

/** The ids and the code in one line: what a cookie holds, and what is handed over to another domain. */
export const cardOf = ({ id, born, code }) =>
  packed([1, id, born.toString(36), ...(code ? [code.via, code.at.toString(36), code.ucc, code.previous] : ["", "", "", ""])]);

/** The whole record in one line, for localStorage. */
export const textOf = (record) =>
  [
    cardOf(record),
    packed([record.others, record.total, record.owed]),
    ...record.steps.map(([kind, at, path]) => packed([kind + "," + at.toString(36) + "," + path])),
  ].join("*");

const timeOf = (text) => {
  const time = parseInt(text, 36);
  return time > 0 && time < 8e15 ? time : 0;
};
const isId = (id) => /^[\da-f]{32}$/.test(id);

/** The record of a card or of a whole text; nothing of what is not right, whoever wrote it. */
export function ofText(text) {
  const [version, id, born, via, at, ucc, previous, others, total, owed, ...steps] = ("" + text).split("*").map(decoded);
  const record = emptyRecord();
  if (version !== "1") return record;
  if (isId(id) && timeOf(born)) Object.assign(record, { id, born: timeOf(born) });
  if (codeOf(ucc) && VIAS.includes(via) && timeOf(at)) record.code = { ucc, via, at: timeOf(at), previous: codeOf(previous) };
  record.others = (others || "").split(",").filter(isId).slice(0, OTHERS_MAX);
  for (const step of steps.slice(0, FIRST + LAST)) {
    const [kind, time, ...path] = step.split(",");
    if (KINDS.includes(kind) && timeOf(time)) record.steps.push([kind, timeOf(time), token(path.join())]);
  }
  record.total = Math.max(record.steps.length, total | 0);
  record.owed = owed & 7;
  return record;
}
