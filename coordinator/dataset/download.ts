/** Downloads of Fashion-MNIST from its publishers, through the environment's proxy where there is one. */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { describeError, printable } from '../../protocol/errors.ts';
import { verifyDatasetFile } from '../../protocol/data/fashion-mnist.ts';
import type { DatasetFile } from '../../protocol/data/fashion-mnist.ts';
import { MAX_FILE_BYTES } from '../../protocol/data/fashion-mnist-files.ts';
import { proxyFor } from './proxy.ts';

/** The publishers' own repository. */
const PUBLISHERS = 'https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion';
const DOWNLOAD_DEADLINE_MS = 300_000;

/** A file, verified. Rejects with the URL, the proxy and the reason. */
export async function downloadDatasetFile(
  file: DatasetFile,
  log: (line: string) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL(`${PUBLISHERS}/${file}.gz`);
  const compressed = await download(url, { environment: process.env, log });
  const bytes = await promisify(gunzip)(compressed, { maxOutputLength: MAX_FILE_BYTES }).catch((error: unknown) => {
    throw new Error(`${url.href}: expected a gzip file, got something else: ${describeError(error)}`);
  });
  verifyDatasetFile(file, bytes, url.href, 'try again later');
  return bytes;
}

export interface DownloadOptions {
  /** Where proxies are looked up. */
  readonly environment: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  /** Of the whole download, in milliseconds. Default: 5 minutes. */
  readonly deadlineMs?: number;
  /** PEM: an authority that is trusted in place of the public ones. */
  readonly ca?: string;
}

/** What is at an https URL. Rejects with the URL, the proxy if there is one, and the reason. */
export async function download(url: URL, options: DownloadOptions): Promise<Uint8Array<ArrayBuffer>> {
  const { environment, log, ca, deadlineMs = DOWNLOAD_DEADLINE_MS } = options;
  const proxy = proxyFor(url, environment);
  const route = proxy ? `${url.href} through the proxy ${proxy.host}` : url.href;
  log(`downloading ${route}`);
  // Only here: no other part of the program needs it.
  const { Agent, fetch, ProxyAgent } = await import('undici');
  const tls = ca === undefined ? {} : { ca };
  const dispatcher = proxy ? new ProxyAgent({ uri: proxy.href, requestTls: tls }) : new Agent({ connect: tls });
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(deadlineMs), dispatcher });
    if (!response.ok) throw new Error(`the answer is ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    // Only a request that got no answer at all may have missed a proxy.
    const hint = proxy || !(error instanceof TypeError) ? '' : '; behind a proxy, name it by $HTTPS_PROXY';
    throw new Error(`${route}: ${describeCauses(error)}${hint}`, { cause: error });
  } finally {
    await dispatcher.destroy();
  }
}

/** The message of an error and of what caused it, outermost first, on one line: a proxy's answer is the innermost. */
function describeCauses(error: unknown): string {
  const messages: string[] = [];
  for (let at = error; at !== undefined && messages.length < 5; at = at instanceof Error ? at.cause : undefined) {
    messages.push(printable(describeError(at)).trim());
  }
  return messages.join(': ');
}
