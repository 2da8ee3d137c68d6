/** E-mail addresses: the canonical form, and what is left of it as providers' aliases, digits and the domain are folded away. */

import { asciiDomain } from "./domainNames.js";
import { isPlaceholder, isPlaceholderEmail } from "./placeholders.js";
import { DigestError } from "./refusals.js";
import { category, foldCase, isInvisible, isSpace, size, TABLES, trim, typedText } from "./text.js";

const ADDRESS_BYTES_MAX = 254;
const LOCAL_PART_BYTES_MAX = 64;
const PATTERN_CHARACTERS_MIN = 3;
const REFUSED = new Set('"()<>[],:;\\@');
const CLASSES = ["DISPOSABLE", "RELAY", "FREE_MAIL", "CORPORATE"] as const;

/** What kind of domain it is. */
export type DomainClass = (typeof CLASSES)[number];

type Provider = (typeof TABLES.providers)[number];

const ROWS = TABLES.providers.flatMap((provider) => provider.domains.map((domain): [string, Provider] => [domain, provider]));
const PROVIDERS = new Map(ROWS);
const BY_ACCOUNT = new Map(ROWS.filter(([, provider]) => provider.account));
const LISTED = Object.entries(TABLES.domains).map(([of, domains]): [DomainClass, Set<string>] => [of as DomainClass, new Set(domains)]);
const SUFFIXES = new Set(TABLES.suffixes);

/**
 * What is known of e-mail domains: the shipped lists and providers, and over them what your own files say.
 *
 * Mailbox digests depend on the rules, so all who digest for one programme must use the same files.
 */
export class DomainRules {
  #classes = new Map<string, DomainClass>();
  #plus = new Map<string, boolean>();

  constructor(...files: string[]) {
    for (const text of files) this.addFile(text);
  }

  /** Adds the content of a file: a domain a line, then what it is; `#` begins a comment. Nothing of it counts when a line cannot be read. */
  addFile(text: string): void {
    const [classes, plus] = [new Map(this.#classes), new Map(this.#plus)];
    text.split("\n").forEach((line, index) => {
      const [typed, ...words] = trim(line.split("#")[0]!).split(/[\s\u0085]+/u);
      if (!typed) return;
      const domain = domainOfLine(typed, index + 1);
      for (const word of words.length > 0 ? words : [""]) {
        const of = word.toUpperCase().replaceAll("-", "_");
        if ((CLASSES as readonly string[]).includes(of)) classes.set(domain, of as DomainClass);
        else if (of === "FOLDS_PLUS" || of === "KEEPS_PLUS") plus.set(domain, of === "FOLDS_PLUS");
        else throw new DigestError("INVALID_DOMAIN_RULE", `line ${index + 1} needs a word like \`disposable\` or \`folds_plus\` behind its domain`);
      }
    });
    [this.#classes, this.#plus] = [classes, plus];
  }

  /** The class of a domain in ASCII. */
  classOf(domain: string): DomainClass {
    const own = ofLongest(this.#classes, domain);
    if (own !== undefined) return own;
    const shortest = registrableLength(domain);
    const candidates = parents(domain).filter((parent) => parent.length >= shortest);
    return LISTED.find(([, listed]) => candidates.some((candidate) => listed.has(candidate)))?.[0] ?? "CORPORATE";
  }

  /** What your own files say of a `+` at the domain; undefined when they say nothing. */
  foldsPlus(domain: string): boolean | undefined {
    return ofLongest(this.#plus, domain);
  }
}

function domainOfLine(typed: string, line: number): string {
  try {
    return asciiDomain(foldCase(typedText(typed)));
  } catch {
    throw new DigestError("INVALID_DOMAIN_RULE", `line ${line} does not begin with a domain, like \`mail.example\``);
  }
}

/** A valid address in its exact form. */
export class EmailAddress {
  private constructor(
    readonly localPart: string,
    readonly domain: string,
  ) {}

  /** Takes a text as it was typed. Throws {@link DigestError}. */
  static parse(typed: string): EmailAddress {
    const text = typedText(typed);
    if (text === "") throw new DigestError("EMPTY");
    if (size(text) > 4 * ADDRESS_BYTES_MAX) throw new DigestError("TOO_LONG");
    if (isPlaceholder(text)) throw new DigestError("PLACEHOLDER");
    const folded = foldCase(text);
    const at = folded.lastIndexOf("@");
    const localPart = folded.slice(0, Math.max(at, 0));
    if (localPart === "") throw new DigestError("NOT_AN_EMAIL");
    if (size(localPart) > LOCAL_PART_BYTES_MAX) throw new DigestError("TOO_LONG");
    const isRefused = (c: string) => REFUSED.has(c) || isSpace(c) || isInvisible(c) || category(c) === "Cc";
    if (Array.from(localPart).some(isRefused)) throw new DigestError("NOT_AN_EMAIL");
    const domain = asciiDomain(folded.slice(at + 1));
    if (size(localPart) + 1 + size(domain) > ADDRESS_BYTES_MAX) throw new DigestError("TOO_LONG");
    if (isPlaceholderEmail(localPart, domain)) throw new DigestError("PLACEHOLDER");
    return new EmailAddress(localPart, domain);
  }

  /** `local@domain`. */
  get exact(): string {
    return `${this.localPart}@${this.domain}`;
  }

  /** The mailbox that the address is delivered to, as far as its provider's rules and your own tell. */
  mailbox(rules: DomainRules): Mailbox {
    const foldsPlus = rules.foldsPlus(this.domain);
    const found = providerOf(this.domain);
    if (found === undefined) return new Mailbox(foldsPlus ? withoutTag(this.localPart, "+") : this.localPart, this.domain);
    const { provider, account, parent } = found;
    const tags = foldsPlus === false ? provider.tags.replace("+", "") : provider.tags;
    let name = without(withoutTag(account ?? this.localPart, tags), provider.ignored);
    if (provider.same !== "") name = name.replaceAll(provider.same[0]!, provider.same[1]!);
    return new Mailbox(name, provider.canonical || (parent ?? this.domain));
  }

  /** The address cut at its `+` where nobody knows whether that begins a tag; undefined where the mailbox has the answer. */
  plusFolded(rules: DomainRules): string | undefined {
    const foldsPlus = rules.foldsPlus(this.domain);
    if (foldsPlus || (foldsPlus === undefined && providerOf(this.domain) !== undefined)) return undefined;
    return `${withoutTag(this.localPart, "+")}@${this.domain}`;
  }
}

/** An address with the aliases folded that its provider delivers to one inbox. */
export class Mailbox {
  constructor(
    readonly localPart: string,
    readonly domain: string,
  ) {}

  /** `local@domain`. */
  get address(): string {
    return `${this.localPart}@${this.domain}`;
  }

  /** The local part without `.`, `_` and `-`, unless nothing would remain. */
  get bareLocalPart(): string {
    return without(this.localPart, "._-");
  }

  /** The mailbox without digits; undefined when fewer than three characters would remain. */
  get pattern(): string | undefined {
    const letters = this.localPart.replaceAll(/[0-9]/g, "").replaceAll(/^[._+-]+|[._+-]+$/g, "");
    return Array.from(letters).length >= PATTERN_CHARACTERS_MIN ? `${letters}@${this.domain}` : undefined;
  }
}

/** Cuts at the first tag character that is not the first character. */
export function withoutTag(localPart: string, tags: string): string {
  const all = [...localPart];
  const cut = all.findIndex((character, at) => at > 0 && tags.includes(character));
  return cut < 0 ? localPart : all.slice(0, cut).join("");
}

function without(localPart: string, unwanted: string): string {
  return Array.from(localPart).filter((character) => !unwanted.includes(character)).join("") || localPart;
}

function providerOf(domain: string): { provider: Provider; account?: string; parent?: string } | undefined {
  const own = PROVIDERS.get(domain);
  if (own !== undefined) return { provider: own };
  const parent = parents(domain).slice(1).find((candidate) => BY_ACCOUNT.has(candidate));
  if (parent === undefined) return undefined;
  return { provider: BY_ACCOUNT.get(parent)!, account: domain.slice(0, -parent.length - 1).split(".").at(-1)!, parent };
}

/** The length from which a parent counts, by the rules that can matter: the label before a public suffix, and the suffix. */
function registrableLength(domain: string): number {
  const suffix = parents(domain).find((parent) => SUFFIXES.has(parent));
  if (suffix === undefined) return 0;
  if (suffix === domain) return domain.length;
  return suffix.length + 1 + domain.slice(0, -suffix.length - 1).split(".").at(-1)!.length;
}

function parents(domain: string): string[] {
  const labels = domain.split(".");
  return labels.map((_, at) => labels.slice(at).join("."));
}

function ofLongest<T>(words: Map<string, T>, domain: string): T | undefined {
  const found = words.size > 0 ? parents(domain).find((parent) => words.has(parent)) : undefined;
  return found === undefined ? undefined : words.get(found);
}
