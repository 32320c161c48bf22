/**
 * The entrance of a run: its port, which is taken before anything of the run is made. Connections that come before the
 * run can receive them wait.
 */
import type { Server } from './server.ts';
import type { Transport } from '../../protocol/wire/transport.ts';

/** What becomes of a connection; see `startServer`. */
export type Admit = (transport: Transport, isSameMachine: boolean) => Promise<void>;

export interface Entrance {
  /** The URL by which workers join, without the token. Only after `take`. */
  readonly joinUrl: string;
  /** All by which workers may reach it, the likeliest first. Only after `take`. */
  readonly joinUrls: Server['joinUrls'];
  /** The URL by which workers of this machine join. Only after `take`. */
  readonly localUrl: string;
  /** The port that was taken. Only after `take`. */
  readonly port: number;
  /** Takes the port. Rejects as `startServer` does, with nothing left open. */
  take(): Promise<void>;
  /** Hands connections to `admit` from now on, those that wait among them, in place of an `admit` before. */
  open(admit: Admit): void;
  /** As {@link Server.closeToWorkers}; before `take`, nothing. */
  closeToWorkers(): Promise<void>;
  /** Gives the port back; a second time, or before `take`, nothing. */
  close(): Promise<void>;
}

/** `listen` is `startServer` with everything but who receives the connections. */
export function createEntrance(listen: (admit: Admit) => Promise<Server>): Entrance {
  let server: Server | undefined;
  let isOpen!: (admit: Admit) => void;
  let admitting = new Promise<Admit>((resolve) => (isOpen = resolve));
  return {
    get joinUrl() {
      return server!.joinUrl;
    },
    get joinUrls() {
      return server!.joinUrls;
    },
    get localUrl() {
      return server!.localUrl;
    },
    get port() {
      return server!.port;
    },
    async take() {
      server = await listen(async (transport, isSameMachine) => (await admitting)(transport, isSameMachine));
    },
    open(admit) {
      isOpen(admit);
      admitting = Promise.resolve(admit);
    },
    async closeToWorkers() {
      await server?.closeToWorkers();
    },
    async close() {
      const closing = server?.close();
      server = undefined;
      await closing;
    },
  };
}
