/** Calls to the server: TLS, a token a call, deadlines, and retries of what is safe to repeat, under the same id. */

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { clone, create, type DescMessage, type DescService, isMessage, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { type CallOptions, type Client, Code, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { errorOf, SelfsameError } from "./errors.js";
import { AccessService } from "./v1/selfsame/v1/access_pb.js";
import { ConfirmationService } from "./v1/selfsame/v1/confirmation_pb.js";
import { ListService } from "./v1/selfsame/v1/list_pb.js";
import { ModelService } from "./v1/selfsame/v1/model_pb.js";
import { type FeedEventKind, PayoutService, type WatchDecisionsResponse, WatchMode } from "./v1/selfsame/v1/payout_pb.js";
import { ProgramService } from "./v1/selfsame/v1/program_pb.js";
import { ReviewService } from "./v1/selfsame/v1/review_pb.js";
import { ScreeningService } from "./v1/selfsame/v1/screening_pb.js";

const READS = /^(?:Get|List|Check|Preview|WhoAmI)/;
/** Known by an id of their own, which the request needs. */
const NAMED = new Set(["ScreenConversion", "RecordSignals", "RecordOutcome", "ReservePayouts"]);
const HEARTBEAT_SECONDS = 15;
/** A feed that is silent for so long is dead: then it is followed from its last cursor again. */
const SILENCE_MS = 3 * HEARTBEAT_SECONDS * 1000;

/** How often, and how long apart. A wait is drawn between nothing and a bound that doubles, after what the server asks for (`RetryInfo`). */
export interface RetryPolicy {
  attempts: number;
  firstWaitMs: number;
  longestWaitMs: number;
  attemptMs: number;
}

const RETRY: RetryPolicy = { attempts: 6, firstWaitMs: 100, longestWaitMs: 5_000, attemptMs: 10_000 };

/** How a server is called. */
export interface ClientOptions {
  /** The token, or what gives one for each call, so that it can be exchanged. */
  token?: string | (() => string | Promise<string>);
  /** Who calls, where nobody is asked. */
  actor?: string;
  /** PEM files: whom to trust, and the client's own certificate with its key. */
  ca?: string;
  cert?: string;
  key?: string;
  /** For a call with all of its retries. */
  timeoutMs?: number;
  retry?: Partial<RetryPolicy>;
  /** Where a call shall be repeated more often or less than `retry` says; for tests, another way to the server. */
  transport?: Transport;
}

/** What a call may have of its own. */
export interface CallSettings extends CallOptions {
  attempts?: number;
}

/** A service's methods of the contract, by their names; unary ones are repeated where that is safe, and throw {@link SelfsameError}. */
export type Calls<Service extends DescService> = {
  [Method in keyof Client<Service>]: Client<Service>[Method] extends (request: infer Request, options?: CallOptions) => infer Answer
    ? (request: Request, settings?: CallSettings) => Answer
    : never;
};

/**
 * A connection to a server; one is enough for a process.
 *
 * `server`: `https://host:port`, `http://host:port`, or `host:port`, which is TLS but on loopback.
 */
export class SelfsameClient {
  readonly screening: Calls<typeof ScreeningService>;
  readonly payouts: Calls<typeof PayoutService>;
  readonly review: Calls<typeof ReviewService>;
  readonly lists: Calls<typeof ListService>;
  readonly models: Calls<typeof ModelService>;
  readonly programs: Calls<typeof ProgramService>;
  readonly access: Calls<typeof AccessService>;
  readonly confirmations: Calls<typeof ConfirmationService>;
  readonly #options: ClientOptions;
  readonly #retry: RetryPolicy;
  readonly #transport: Transport;
  #sessions: Http2SessionManager | undefined;

  constructor(server: string, options: ClientOptions = {}) {
    this.#options = options;
    this.#retry = { ...RETRY, ...options.retry };
    const { baseUrl, isTls, isLoopback } = addressOf(server);
    if (options.token !== undefined && !isTls && !isLoopback) throw new TypeError("a token is not sent in plaintext beyond loopback: use https://");
    this.#transport = options.transport ?? this.#connect(baseUrl, options);
    this.screening = this.#calls(ScreeningService);
    this.payouts = this.#calls(PayoutService);
    this.review = this.#calls(ReviewService);
    this.lists = this.#calls(ListService);
    this.models = this.#calls(ModelService);
    this.programs = this.#calls(ProgramService);
    this.access = this.#calls(AccessService);
    this.confirmations = this.#calls(ConfirmationService);
  }

  /** Ends the connection. */
  close(): void {
    this.#sessions?.abort();
  }

  /**
   * The feed after a cursor, message by message, for as long as the caller takes them; with `stopAtEnd` what there is.
   *
   * Keep a message's `cursor` once all of its events have been dealt with, and begin there next time: at least once, in order, without gaps. A
   * connection that breaks is made anew from the last message that was taken. Throws a {@link SelfsameError} with `CURSOR_OF_ANOTHER_LEDGER` or
   * `CURSOR_FORGOTTEN` when the cursor is not known any more.
   */
  async *follow(programId: string, afterCursor = "", options: { kinds?: FeedEventKind[]; stopAtEnd?: boolean } = {}): AsyncGenerator<WatchDecisionsResponse> {
    const { kinds = [], stopAtEnd = false } = options;
    const mode = stopAtEnd ? WatchMode.STOP_AT_END : WatchMode.FOLLOW;
    for (let failures = 0; ; ) {
      const ended = new AbortController();
      const request = { programId, afterCursor, kinds, mode, heartbeatEvery: { seconds: BigInt(HEARTBEAT_SECONDS) } };
      try {
        for await (const message of unlessSilent(this.payouts.watchDecisions(request, { signal: ended.signal }), ended)) {
          failures = 0;
          yield message;
          afterCursor = message.cursor || afterCursor;
        }
        if (stopAtEnd) return;
      } catch (failed) {
        const error = errorOf(failed);
        failures += 1;
        if (!(error.isOutcomeUnknown || error.isTransient) || (stopAtEnd && failures > this.#retry.attempts)) throw error;
        await sleep(this.#wait(Math.min(failures, 10), error.retryAfterMs));
      } finally {
        ended.abort();
      }
    }
  }

  #connect(baseUrl: string, { ca, cert, key }: ClientOptions): Transport {
    const read = (path: string | undefined, name: string) => (path === undefined ? {} : { [name]: readFileSync(path) });
    const nodeOptions = { ...read(ca, "ca"), ...read(cert, "cert"), ...read(key, "key") };
    this.#sessions = new Http2SessionManager(baseUrl, { pingIntervalMs: 60_000, pingTimeoutMs: 20_000 }, nodeOptions);
    return createGrpcTransport({ baseUrl, nodeOptions, sessionManager: this.#sessions });
  }

  #calls<Service extends DescService>(service: Service): Calls<Service> {
    const inner = createClient(service, this.#transport) as Record<string, (request: unknown, options: CallOptions) => unknown>;
    const calls: Record<string, unknown> = {};
    for (const method of service.methods) {
      const call = inner[method.localName]!;
      calls[method.localName] =
        method.methodKind === "unary"
          ? (request: MessageInitShape<DescMessage>, settings?: CallSettings) => this.#call(method.name, method.input, call, request, settings)
          : (request: unknown, settings?: CallSettings) => this.#stream(call, request, settings);
    }
    return calls as Calls<Service>;
  }

  async *#stream(call: (request: unknown, options: CallOptions) => unknown, request: unknown, settings: CallSettings = {}): AsyncGenerator<unknown> {
    try {
      yield* call(request, { ...settings, headers: await this.#headers(settings) }) as AsyncIterable<unknown>;
    } catch (failed) {
      throw errorOf(failed);
    }
  }

  async #headers(settings: CallSettings): Promise<Headers> {
    const headers = new Headers(settings.headers);
    const token = typeof this.#options.token === "function" ? await this.#options.token() : this.#options.token;
    if (token) headers.set("authorization", `Bearer ${token}`);
    if (this.#options.actor) headers.set("selfsame-actor", this.#options.actor);
    return headers;
  }

  #wait(failures: number, retryAfterMs: number | undefined): number {
    return (retryAfterMs ?? 0) + Math.random() * Math.min(this.#retry.longestWaitMs, this.#retry.firstWaitMs * 2 ** (failures - 1));
  }

  async #call(
    name: string,
    schema: DescMessage,
    call: (request: unknown, options: CallOptions) => unknown,
    init: MessageInitShape<DescMessage>,
    settings: CallSettings = {},
  ): Promise<unknown> {
    const deadline = performance.now() + (settings.timeoutMs ?? this.#options.timeoutMs ?? 30_000);
    const { request, isRepeatable } = identified(name, schema, init);
    for (let failures = 0; ; ) {
      const left = Math.max(1, deadline - performance.now());
      const timeoutMs = Math.ceil(isRepeatable ? Math.min(left, this.#retry.attemptMs) : left);
      try {
        return await call(request, { ...settings, timeoutMs, headers: await this.#headers(settings) });
      } catch (failed) {
        const error = errorOf(failed);
        failures += 1;
        const wait = this.#wait(failures, error.retryAfterMs);
        const isOver = failures >= (settings.attempts ?? this.#retry.attempts) || performance.now() + wait >= deadline || settings.signal?.aborted;
        if (!(isRepeatable && error.isTransient) || isOver) throw error;
        await sleep(wait);
      }
    }
  }
}

/** The request with an id of the call, the same for all retries, and whether it may be repeated. */
function identified(name: string, schema: DescMessage, init: MessageInitShape<DescMessage>): { request: Message; isRepeatable: boolean } {
  const request = isMessage(init, schema) ? clone(schema, init) : create(schema, init);
  if (NAMED.has(name) || READS.test(name)) return { request, isRepeatable: true };
  if (!schema.fields.some((field) => field.name === "request_id")) return { request, isRepeatable: false };
  const named = request as Message & { requestId: string };
  named.requestId ||= randomUUID();
  return { request, isRepeatable: true };
}

/** The messages of a stream, which is ended when none comes for too long. How long the caller takes for one does not count. */
async function* unlessSilent<T>(messages: AsyncIterable<T>, ended: AbortController): AsyncGenerator<T> {
  const each = messages[Symbol.asyncIterator]();
  for (;;) {
    const watch = setTimeout(() => ended.abort(new SelfsameError(Code.Unavailable, "the feed is silent")), SILENCE_MS);
    const next = await each.next().finally(() => clearTimeout(watch));
    if (next.done) return;
    yield next.value;
  }
}

function addressOf(server: string): { baseUrl: string; isTls: boolean; isLoopback: boolean } {
  const [, scheme, address] = /^(?:(https?):\/\/)?([^/]+)\/?$/.exec(server) ?? [];
  if (address === undefined) throw new TypeError("a server is https://host:port, http://host:port or host:port");
  const host = new URL(`http://${address}`).hostname;
  const isLoopback = host === "localhost" || host === "[::1]" || host.startsWith("127.");
  const isTls = scheme === undefined ? !isLoopback : scheme === "https";
  return { baseUrl: `${isTls ? "https" : "http"}://${address}`, isTls, isLoopback };
}
