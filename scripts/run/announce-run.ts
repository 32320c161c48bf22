/** Announces a run by mDNS, where its user asks for that. */
import { basename } from 'node:path';
import { announceService } from '../../coordinator/server/announce-service.ts';
import type { AnnouncedService } from '../../coordinator/server/announce-service.ts';
import { packageVersion } from '../process.ts';

export interface RunPlace {
  /** Undefined of a run that leaves nothing behind. */
  readonly runDir: string | undefined;
  readonly port: number;
  /** By which workers reach it, without the token. */
  readonly urls: readonly string[];
  readonly line: (text: string) => void;
  readonly warn: (text: string) => void;
}

/** `given`: the name; empty: that of the run directory. Undefined: nothing is announced. */
export async function announceRun(given: string | undefined, place: RunPlace): Promise<AnnouncedService | undefined> {
  if (given === undefined) return undefined;
  const { runDir, port, urls, line, warn } = place;
  const name = given !== '' ? given : runDir === undefined ? `gradsock-${port}` : basename(runDir);
  const service = await announceService({ name, port, urls, version: packageVersion(), warn });
  line(`announced on this network by mDNS: npx gradsock worker --discover ${service.name}`);
  return service;
}
