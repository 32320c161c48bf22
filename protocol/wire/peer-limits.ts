/** Peer limits: what one end of a transport puts up with from the other; raised as that proves who it is. */
import { LIMITS } from './limits.ts';

export interface PeerLimits {
  /** Of one WebSocket message: a frame's head. */
  readonly maxMessageBytes: number;
  /** Of one payload; refused by its head, before memory is set aside. */
  readonly maxPayloadBytes: number;
  /** Messages in any second on average; twice as many may come at once. */
  readonly messagesPerSecond: number;
  /** What may be waiting to be sent when more is sent. A peer that reads too slowly for that is dropped. */
  readonly maxQueuedBytes: number;
  /**
   * What may wait here until it is read. Beyond it no more is taken from the connection before half of it is read: what a
   * peer sends that nobody asked for stays with the peer.
   */
  readonly maxUnreadMessages: number;
  readonly maxUnreadBytes: number;
  /**
   * A peer that sends nothing for longer, not even the answer to a ping, is lost; milliseconds. At least as long as what it
   * has been asked for may take: a process that works may be unable to answer a ping until it is done.
   */
  readonly maxSilenceMs: number;
}

/** No more than frames have anyway. */
export const NO_PEER_LIMITS: PeerLimits = {
  maxMessageBytes: Infinity,
  maxPayloadBytes: LIMITS.maxPayloadBytes,
  messagesPerSecond: Infinity,
  maxQueuedBytes: Infinity,
  maxUnreadMessages: Infinity,
  maxUnreadBytes: Infinity,
  maxSilenceMs: LIMITS.silenceMs,
};

/** For a peer that has proved nothing yet: a few small messages without payloads. */
export const STRANGER_LIMITS: PeerLimits = {
  maxMessageBytes: LIMITS.maxStrangerMessageBytes,
  maxPayloadBytes: 0,
  messagesPerSecond: LIMITS.messagesPerSecond,
  maxQueuedBytes: LIMITS.queueSlackBytes,
  maxUnreadMessages: LIMITS.queueSlackMessages,
  maxUnreadBytes: LIMITS.queueSlackBytes,
  maxSilenceMs: LIMITS.silenceMs,
};

export interface RateLimit {
  /** Counts one; false when it is one too many. */
  allows(): boolean;
}

/** A bucket that holds two seconds' worth and fills at `perSecond`. `nowMs` is any clock that never goes back. */
export function createRateLimit(perSecond: number, nowMs: () => number = () => performance.now()): RateLimit {
  const capacity = 2 * perSecond;
  let left = capacity;
  let lastMs = nowMs();
  return {
    allows() {
      if (perSecond === Infinity) return true;
      const atMs = nowMs();
      left = Math.min(capacity, left + ((atMs - lastMs) / 1000) * perSecond);
      lastMs = atMs;
      if (left < 1) return false;
      left--;
      return true;
    },
  };
}
