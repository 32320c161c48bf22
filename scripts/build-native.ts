/**
 * Builds the native engine into the package's own folder, for all who use this installation: part of `npm run build`, and
 * of making an image or an installation for several users. Elsewhere the engine is built on first use, into the user's
 * cache: see `worker/engines/native/build/prepare-native.ts`.
 *
 * Whatever goes wrong, the exit code is 0: the loader has the reason, and the other engines work without it.
 */
import { realpathSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describeError } from '../protocol/errors.ts';
import { buildNative as build } from '../worker/engines/native/build/build-native.ts';

/** Resolves with the line that says what was done. */
export async function buildNative(): Promise<string> {
  return (await build()).line;
}

if (import.meta.url === pathToFileURL(realpathSync(process.argv[1] ?? '.')).href) {
  const line = await buildNative().catch((error: unknown) => `not built: ${describeError(error)}`);
  process.stdout.write(`native engine: ${line}\n`);
}
