/** Announces a coordinator by mDNS, so that workers of the same network find it by its name. */
import { serviceName, SERVICE_TYPE, textOf } from '../../protocol/wire/discovery.ts';
import type { Announcement } from '../../protocol/wire/discovery.ts';
import { describeError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';

export interface AnnouncedService {
  /** As it is announced. */
  readonly name: string;
  /** Says goodbye, and frees the socket. */
  stop(): Promise<void>;
}

export interface AnnounceOptions extends Announcement {
  readonly port: number;
  /** Told, once, why the service is not announced: the run goes on without. */
  readonly warn: (line: string) => void;
  /** Of `multicast-dns`. Default: the usual group and port, on the system's choice of interface. */
  readonly multicast?: object;
}

/** Resolves when the service is announced from here on. Never rejects. */
export async function announceService(options: AnnounceOptions): Promise<AnnouncedService> {
  const { warn, port, multicast = {} } = options;
  const name = serviceName(options.name);
  // Loaded where it is asked for alone.
  const { Bonjour } = await import('bonjour-service');
  let hasWarned = false;
  const fail = (error: unknown) => {
    if (!hasWarned)
      warn(`--discover: ${name} is not announced by mDNS (${describeError(error)}): give workers the URL`);
    hasWarned = true;
  };
  const bonjour = new Bonjour(multicast, fail);
  onSocketError(bonjour, fail);
  // The library's probe prints to the terminal. Without it, two services may have one name: the token tells their runs apart.
  bonjour.publish({ name, type: SERVICE_TYPE, port, probe: false, txt: textOf(options) });
  return {
    name,
    stop: () =>
      new Promise((resolve) => {
        const end = () => {
          clearTimeout(timer);
          bonjour.destroy(() => resolve());
        };
        const timer = setTimeout(end, LIMITS.closeMs);
        bonjour.unpublishAll(end);
      }),
  };
}

/** The library leaves errors of its socket to its emitter, which would end the process. */
function onSocketError(bonjour: unknown, listener: (error: unknown) => void): void {
  const { server } = bonjour as { server: { mdns: NodeJS.EventEmitter } };
  server.mdns.on('error', listener);
  server.mdns.on('warning', () => {});
}
