/** Workers that a run starts on other machines, as its coordinator sees them. */
import type { WorkerSource } from '../../coordinator/run-options.ts';
import type { Entrance } from '../../coordinator/server/entrance.ts';
import type { PortPlan } from './run-port.ts';

/** Where workers of the run join. */
export interface JoinPoint {
  /** "ws://192.0.2.10:7878": by each address of this machine, the likeliest first. */
  readonly urls: readonly [string, ...string[]];
  readonly port: number;
  readonly token: string | undefined;
  /** sha256 of the certificate that is served, where one is. */
  readonly fingerprint: string | undefined;
}

/** Workers on other machines that the run itself starts. */
export interface RemoteLabour {
  /** Starts them. `onFailure`: ends the run with this error, for too few of them can work. */
  start(at: JoinPoint, onFailure: (error: Error) => void): WorkerSource;
  /** What the worker of this name said last. */
  lastLinesOf(name: string): readonly string[];
  /** Why they cannot reach each other, if they cannot. */
  readonly ringObstacle: string | undefined;
}

/** After the entrance was taken. */
export function joinPointOf({ token, tls }: PortPlan, { joinUrls, port }: Entrance): JoinPoint {
  return { urls: joinUrls, port, token, fingerprint: tls?.fingerprint };
}
