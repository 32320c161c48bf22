import { describe, expect, test } from 'vitest';
import { announceCompletion } from '../../../coordinator/server/announce-completion.ts';
import type { AnnouncementOptions } from '../../../coordinator/server/announce-completion.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { createToken } from '../../../protocol/wire/authentication.ts';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import { runWorkerSession } from '../../../worker/session.ts';
import { never, startTestServer } from '../../helpers/sockets.ts';

const TOKEN = createToken();

/** Two workers are waited for, longer than the test lasts unless it says otherwise. */
function start(changes: Partial<AnnouncementOptions> = {}) {
  const warned: string[] = [];
  let listening!: (joinUrl: string) => void;
  const joinUrl = new Promise<string>((resolve) => (listening = resolve));
  const told = announceCompletion({
    reason: 'the run is completed',
    token: TOKEN,
    numWorkers: 2,
    patienceMs: 3_600_000,
    signal: never(),
    async listen(admit) {
      const server = await startTestServer(admit);
      listening(server.joinUrl);
      return server;
    },
    warn: (line) => warned.push(line),
    ...changes,
  });
  const work = async (token: string | undefined = TOKEN) =>
    runWorkerSession(await connectToCoordinator(await joinUrl, never()), {
      name: 'late',
      token,
      identity: { id: 'w1', key: 'ab'.repeat(32) },
      loadDataset: () => Promise.reject(new Error('there is no run to load samples for')),
      createEngine: () => Promise.reject(new Error('there is no run to make an engine for')),
    });
  return { told, warned, work };
}

describe('a run that is over', () => {
  test('tells the workers that come back so, and ends when all have been told', async () => {
    const { told, warned, work } = start();
    expect(await Promise.all([work(), work()])).toEqual(['the run is completed', 'the run is completed']);
    expect(await told).toBe(2);
    expect(warned).toEqual([]);
  });

  test('tells nobody without its token', async () => {
    const { told, warned, work } = start({ numWorkers: 1 });
    await expect(work(createToken())).rejects.toMatchObject({ code: 'ERR_UNAUTHENTICATED' });
    expect(await work()).toBe('the run is completed');
    expect(await told).toBe(1);
    expect(warned).toEqual([expect.stringContaining('was refused')]);
  });

  test('waits no longer than it may', async () => {
    const { told } = start({ patienceMs: 1 });
    expect(await told).toBe(0);
  });

  test('waits no longer than its user wants', async () => {
    const user = new AbortController();
    const { told, work } = start({ signal: user.signal });
    await work();
    user.abort();
    expect(await told).toBe(1);
  });

  test('says when it cannot listen', async () => {
    const listen = () => Promise.reject(new ConfigError('--listen 127.0.0.1:1: another program listens there'));
    await expect(start({ listen }).told).rejects.toThrow('another program listens there');
  });
});
