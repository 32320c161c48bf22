/** Member: a worker that takes part in a run, as the coordinator knows it. */
import type { Transport } from '../../protocol/wire/transport.ts';

/** A worker that is ready. */
export interface Member {
  /** Given by the coordinator: "w1". No other worker has it; one that lost its connection has it again when it is back. */
  readonly id: string;
  /** Given by the worker, for people: "local-1". */
  readonly name: string;
  readonly engine: string;
  readonly device: string;
  readonly threads: number;
  readonly transport: Transport;
}
