/** Every limit on what travels and on how long anything waits, in one place; `protocol/README.md` explains them. */

const SECOND = 1000;
const MEBIBYTE = 2 ** 20;

export const LIMITS = {
  /** A header is small: the largest names every microbatch of a step. Refused before it is decoded. */
  maxHeaderBytes: 64 * 1024,
  /** Refused by a frame's head, before memory is set aside. */
  maxPayloadBytes: 1024 * MEBIBYTE,
  /** A dataset travels in pieces of this size, so that a slow link still shows progress. */
  datasetChunkBytes: 4 * MEBIBYTE,
  /** The most of a dataset that a worker may ask for at once: what then waits to be sent to it is no more than this. */
  datasetRangeBytes: 8 * MEBIBYTE,
  /** Pieces of a dataset that a coordinator keeps in memory for the next worker that asks for them. */
  datasetKeptBytes: 64 * MEBIBYTE,
  /** From the connection to the worker's hello, and from a challenge to its proof; also for HTTP headers and TLS. */
  handshakeMs: 10 * SECOND,
  /** Of an HTTP request's headers: a worker's upgrade has some 200 bytes, a browser's some 1,000. */
  maxUpgradeBytes: 8 * 1024,
  /** Of a WebSocket message from a connection that has proved nothing: an error's 2,000 characters fit. */
  maxStrangerMessageBytes: 8 * 1024,
  /** Of a connection that is no member yet, and of pings; a worker joins with seven messages. */
  messagesPerSecond: 20,
  /** Connections that are not members: in all, and from one address. The run's workers may come on top of it at once. */
  maxPending: 256,
  maxPendingPerAddress: 32,
  /** What may be queued for any peer, or wait from it to be read, beyond what its run needs. */
  queueSlackBytes: MEBIBYTE,
  queueSlackMessages: 64,
  /** Pages that look at a run at once; what may be queued for one, which then misses updates; the longest text from one. */
  maxViewers: 64,
  viewerQueueBytes: 4 * MEBIBYTE,
  maxPageMessageBytes: 4 * 1024,
  /** Of someone who examines a run: in all, between two questions, and messages. */
  examinationMs: 60 * SECOND,
  examinerSilenceMs: 20 * SECOND,
  examinerMessagesPerSecond: 2000,
  /** Of bytes that measure a link: at once; of all examiners in a short time, and what more there is in each second. */
  sampleBytes: 4 * MEBIBYTE,
  examinationBytes: 32 * MEBIBYTE,
  examinationBytesPerSecond: 2 * MEBIBYTE,
  /** Refused connections that are told of one by one in a time of this length; of the others, their number. */
  refusalLines: 20,
  refusalWindowMs: 10 * SECOND,
  /** From one preparation message to the next: a dataset found, an engine built and probed. */
  prepareMs: 120 * SECOND,
  /** A peer that sent nothing, not even the answer to a ping, for this long is lost, unless its work may take longer. */
  silenceMs: 10 * SECOND,
  /** Time between pings: several fit into `silenceMs`, so that one that is late does no harm. */
  pingIntervalMs: 2 * SECOND,
  /** From an error or a shutdown message to the end of the connection, whether or not the peer agrees. */
  closeMs: 2 * SECOND,
  /** A worker waits this long for a coordinator, or a join file, that is not there yet. */
  connectMs: 600 * SECOND,
  /** Between two lines that say what a worker waits for. */
  waitingLineMs: 10 * SECOND,
  /** Between the beginnings of two attempts, where a coordinator has several addresses (RFC 8305, 8). */
  attemptDelayMs: 250,
  /** To find out whether the other end of a connection that failed speaks TLS. */
  tlsProbeMs: 2 * SECOND,
  /** How long a coordinator waits for workers of a run that is over: they try again every 5 s, or sooner. */
  farewellMs: 6 * SECOND,
  /** In a ring, a worker has this long to reach its successor, and to be reached by its predecessor. */
  peerConnectMs: 5 * SECOND,
  /** The most that a timer can hold: a wait that is made of others' ends here. */
  longestWaitMs: 2 ** 31 - 1,
} as const;
