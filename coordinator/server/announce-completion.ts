/**
 * Farewell: for a run that was over before its coordinator was ended, and is resumed. Its workers wait for a coordinator:
 * for a short while there is one, which tells those that come that the run is over.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { STRANGER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { greetWorker } from '../members/authenticate.ts';
import { createRefusalLog } from './refusal-log.ts';
import type { Server } from './server.ts';

export interface AnnouncementOptions {
  /** What workers are told. */
  readonly reason: string;
  /** What they must prove to know before that. */
  readonly token?: string | undefined;
  /** It is over when this many workers have been told. */
  readonly numWorkers: number;
  /** And after this time in any case. Default: that of `LIMITS`. */
  readonly patienceMs?: number;
  /** Aborted: it is over at once. */
  readonly signal: AbortSignal;
  /** Listens where the workers expect a coordinator. */
  readonly listen: (admit: (transport: Transport) => Promise<void>) => Promise<Server>;
  readonly warn: (line: string) => void;
}

/** Returns how many workers were told. Rejects as `listen` does. */
export async function announceCompletion(options: AnnouncementOptions): Promise<number> {
  const { reason, token, numWorkers, patienceMs = LIMITS.farewellMs, signal, listen, warn } = options;
  const refusals = createRefusalLog(warn);
  let numTold = 0;
  let end!: () => void;
  const over = new Promise<void>((resolve) => (end = resolve));

  const server = await listen(async (transport) => {
    transport.limit(STRANGER_LIMITS);
    try {
      const { isExaminer } = await greetWorker(transport, { token, handshakeMs: LIMITS.handshakeMs });
      transport.send({ kind: 'shutdown', reason, outcome: 'completed' });
      transport.close();
      if (!isExaminer && ++numTold >= numWorkers) end();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      refusals.add(`${transport.peer} was refused: ${error.message}`, {});
      transport.close(error);
    }
  });
  const timer = setTimeout(end, patienceMs);
  signal.addEventListener('abort', end);
  if (signal.aborted) end();
  await over;
  clearTimeout(timer);
  signal.removeEventListener('abort', end);
  refusals.flush();
  await server.close();
  return numTold;
}
