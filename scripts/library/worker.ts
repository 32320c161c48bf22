/** A worker of a run that a coordinator carries out, here or on another machine. */
import { Command } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import { urlsOf } from '../../worker/connection/join-target.ts';
import { runWorker } from '../../worker/main.ts';
import { addWorkerFlags, portRangeOf } from '../flags/commands.ts';
import type { WorkerFlags } from '../flags/commands.ts';
import { setFlags } from '../flags/given.ts';
import { sourceOf } from '../run/join-source.ts';
import type { JoinPlace } from '../run/join-source.ts';
import { readTrust } from '../run/tls-files.ts';
import { checkToken, tokenInFile } from '../run/token.ts';
import type { WorkerOptions } from './options.ts';

/** A worker at work. */
export interface Worker {
  /**
   * Resolves when its part in the run is over: with the reason that the coordinator gave, or undefined where it was
   * stopped. Rejects with `ConfigError` when this machine cannot do what was asked, with `ProtocolError` when the run was
   * lost for good.
   */
  readonly finished: Promise<string | undefined>;
  /** Leaves the run, as the signal does, and waits until it has left. */
  stop(): Promise<string | undefined>;
}

/** Joins a run, and computes gradients until it is over. Throws `ConfigError` for options that are wrong. */
export function startWorker(options: WorkerOptions): Worker {
  const { url, token, onProgress, onOutcome, logger, signal: given, ...named } = options;
  const command = addWorkerFlags(new Command('worker'));
  setFlags(command, named);
  const flags = command.opts<WorkerFlags>();
  const target = sourceOf(placeOf(url, token, flags));
  for (const at of target.canChange ? ['wss:'] : urlsOf(target.read())) readTrust(flags, at);
  const stopping = new AbortController();
  const { name, engine, device, threads, dataDir, keepData, wait, reconnect } = flags;
  const finished = runWorker({
    ...{ name, engine, device, threads, dataDir, keepData, target },
    peerPorts: portRangeOf(flags.peerPorts),
    waitSeconds: wait,
    reconnectSeconds: reconnect,
    tlsOf: (at) => readTrust(flags, at),
    signal: given ? AbortSignal.any([given, stopping.signal]) : stopping.signal,
    tell: onProgress,
    onOutcome,
    log: (line) => logger?.info?.(line),
    warn: (line) => logger?.warn?.(line),
  });
  // The caller may look at it later.
  finished.catch(() => {});
  return {
    finished,
    stop() {
      stopping.abort(new Error('the worker was stopped'));
      return finished;
    },
  };
}

function placeOf(url: WorkerOptions['url'], given: WorkerOptions['token'], flags: WorkerFlags): JoinPlace {
  const token = typeof given === 'string' ? checkToken(given, 'token') : (given ?? tokenInFile(flags));
  const { joinFile } = flags;
  if (url !== undefined && joinFile !== undefined) throw new ConfigError('worker: url with joinFile: give one of them');
  if (url !== undefined) return { url, token };
  if (joinFile !== undefined) return { joinFile, token };
  throw new ConfigError('worker: nothing to join: give url, as the coordinator has it, or joinFile');
}
