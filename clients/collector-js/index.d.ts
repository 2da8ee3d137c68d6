/** What was done. `PAGE_VIEW`, `LANDING` and `LINK_CLICK` are captured by themselves. */
export type Kind = "LINK_CLICK" | "LANDING" | "PAGE_VIEW" | "SIGNUP" | "SIGN_IN" | "SHARE" | "CHECKOUT" | "PURCHASE";

/** `pending`: nothing is kept or posted, all is in memory. `denied`: as pending, and what was kept is wiped. */
export type Consent = "granted" | "denied" | "pending";

export interface Options {
  /** Where payloads are posted. Without one nothing is posted. */
  endpoint?: string;
  /** `steps` (default): at `SIGNUP`, `SIGN_IN`, `SHARE`, `CHECKOUT` and `PURCHASE`. `all`: at page views as well. */
  send?: "steps" | "all";
  /** Default `pending`. */
  consent?: Consent;
  /** Global Privacy Control counts as denied. Default true. */
  gpc?: boolean;
  /** Do Not Track counts as denied. Default false. */
  dnt?: boolean;
  /** Parameters that hold a code, in lower case. Default `ucc`, `cello_ucc`. */
  params?: string[];
  /** Parameters that hold a link which holds a code. Default `deep_link`, `deep_link_value`, `link`, `referrer`. */
  deepLinks?: string[];
  /** Which of two codes counts. Default `last`; the one before it is told as `previousUcc`. */
  keep?: "last" | "first";
  /** Name of the cookie, the localStorage entry, the hand-over's parameter and the payload's form field. Default `selfsame`. */
  name?: string;
  /** Domain of the cookie, to share it among subdomains. Default: this host alone. */
  domain?: string;
  /** How long everything is kept. Default 90. */
  days?: number;
  /** Cookies of other libraries that hold a code, for instance `cello-referral`. */
  otherCookies?: string[];
  /** Forms that get the hidden fields. Default `form[data-selfsame]`. */
  forms?: string;
  /** Name of the hidden field of the code. Default `ucc`. Hidden inputs of this name are filled in every form. */
  field?: string;
  /** Inputs in which a person types a code. Default `[data-selfsame-code]`. */
  codeField?: string;
  /** Domains of the same product, this one included; each counts with all below it. */
  handOver?: string[];
  /** Schemes of the product's app, like `myapp:`. */
  schemes?: string[];
  /** Words of paths that may stand in path tokens, in lower case. */
  pages?: string[];
  /** The token of a path, in place of the list of words. Must hold no personal data; one with a space, `@`, `?` or `*` counts as absent. */
  path?: (pathname: string) => string;
  /** A device fingerprint of another library. */
  fingerprint?: string | (() => string | Promise<string>);
  /** After how many milliseconds a post has failed. Default 2000. */
  timeoutMs?: number;
  /** Whether cookies go with a post to another origin. Default `same-origin`. */
  credentials?: RequestCredentials;
}

/** One step of the way; `Touchpoint` of the API without its digests. */
export interface Touchpoint {
  kind: `TOUCHPOINT_KIND_${Kind}`;
  /** RFC 3339. */
  occurredAt: string;
  pathToken?: string;
}

/** What is posted; payload.schema.json says it in full. */
export interface Payload {
  version: 1;
  messageId: string;
  sentAt: string;
  /** The browser's own id, then ids that it has on other domains. */
  browserIds?: string[];
  fingerprint?: string;
  device?: {
    userAgent?: string;
    platform?: string;
    timeZone?: string;
    languages?: string[];
    screenWidthPx?: number;
    screenHeightPx?: number;
    seenAt: string;
  };
  attribution?: {
    capturedVia: `CAPTURED_VIA_${"LINK" | "COOKIE" | "FORM" | "DEEP_LINK"}`;
    ucc: string;
    previousUcc?: string;
    capturedAt: string;
  };
  journey?: { touchpoints: Touchpoint[]; touchpointCountTotal?: number };
  /** Told by the page, so believed only with a token that the product's backend made. */
  account?: { accountId: string; token?: string };
}

/** No method throws. */
export interface Collector {
  consent(state: Consent): void;
  /** The code that counts; empty when there is none. */
  ucc(): string;
  /** A code that a person typed. What cannot be one is ignored. */
  code(ucc: string): void;
  /** Adds a step, and posts at those that an account makes: true when the post arrived. Ends within the time-out. */
  track(kind: Kind, pathToken?: string): Promise<boolean>;
  /** Who it is, for a receiver that has no session of its own. Kept in memory alone. */
  account(accountId: string, token?: string): void;
  /** Adds the hidden fields to forms. */
  attach(form: HTMLFormElement | HTMLFormElement[]): void;
  /** The address with what is handed over. Use it at once: it lives for two minutes. */
  decorate(address: string): string;
  /** What would be posted now. */
  payload(): Payload;
  /** Posts now. */
  send(): Promise<boolean>;
  /** Somebody signs out: the journey and the code are forgotten, the browser's id stays. */
  leave(): void;
}

/** Starts collecting on this page, once: a second call gives the same collector. */
export function start(options?: Options): Collector;

type Method = Exclude<keyof Collector, never>;

/** The function of the classic script and of the stub: every call is a promise that never fails. */
export interface Selfsame {
  (name: "start", options?: Options): Promise<void>;
  <M extends Method>(name: M, ...args: Parameters<Collector[M]>): Promise<Awaited<ReturnType<Collector[M]>> | undefined>;
}

declare global {
  interface Window {
    selfsame: Selfsame;
  }
}
