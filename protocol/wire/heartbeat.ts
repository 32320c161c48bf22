/** Heartbeat: pings over a socket, whether the other end still answers, and how long an answer takes. */
import { LIMITS } from './limits.ts';

/** What a heartbeat needs of a socket. */
export interface PingSocket {
  ping(data?: Uint8Array): void;
}

export interface HeartbeatOptions {
  /** The longest silence now, in milliseconds. */
  readonly maxSilenceMs: () => number;
  /** Whether nothing is read now: answers then wait behind what was not read, and silence means nothing. */
  readonly isPaused: () => boolean;
  /** Called when the other end has been silent for longer. */
  readonly onSilence: () => void;
}

export class Heartbeat {
  readonly #socket: PingSocket;
  readonly #options: HeartbeatOptions;
  readonly #timer: NodeJS.Timeout;
  #lastHeardMs = performance.now();
  #lastBeatMs = this.#lastHeardMs;
  #numMeasured = 0;
  /** What to do with the answer to a ping, while one is measured. */
  #onPong: (data: Buffer) => void = () => {};

  /** Pings until it is stopped. */
  constructor(socket: PingSocket, options: HeartbeatOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#timer = setInterval(() => this.#beat(), LIMITS.pingIntervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Something has come from the other end. */
  heard(): void {
    this.#lastHeardMs = performance.now();
  }

  /** The answer to a ping has come. */
  heardPong(data: Buffer): void {
    this.heard();
    this.#onPong(data);
  }

  /** Milliseconds from a ping to its answer; undefined when none comes in time or before `ended` settles. */
  measureRoundTrip(timeoutMs: number, ended: Promise<unknown>): Promise<number | undefined> {
    return new Promise((resolve) => {
      const sentMs = performance.now();
      const stop = (roundTripMs?: number) => {
        clearTimeout(timer);
        this.#onPong = () => {};
        resolve(roundTripMs);
      };
      const timer = setTimeout(stop, timeoutMs);
      void ended.then(() => stop());
      // Not the answer to one of the pings that go out all the time, nor to one that was given up.
      const mark = Buffer.from(String(this.#numMeasured++));
      this.#onPong = (data) => {
        if (data.equals(mark)) stop(performance.now() - sentMs);
      };
      this.#socket.ping(mark);
    });
  }

  #beat(): void {
    const { maxSilenceMs, isPaused, onSilence } = this.#options;
    const nowMs = performance.now();
    // When this process itself was stopped or busy, answers may lie unread: ask again before blaming the other end.
    const wasAway = nowMs - this.#lastBeatMs > 2 * LIMITS.pingIntervalMs;
    this.#lastBeatMs = nowMs;
    if (isPaused()) this.heard();
    if (nowMs - this.#lastHeardMs > maxSilenceMs() && !wasAway) onSilence();
    else this.#socket.ping();
  }
}
