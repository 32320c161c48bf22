/** A process that holds many workers of a run, each with a connection of its own: the library's `startWorker`, many times. */
import { startWorker } from '../../library/index.ts';
import type { WorkersOrder, WorkersUsage } from './messages.ts';

process.once('message', (order: WorkersOrder) => void work(order));
process.on('disconnect', () => process.exit());

async function work({ joinUrl, names }: WorkersOrder): Promise<void> {
  const workers = names.map((name) => startWorker({ url: joinUrl, name, keepData: false, engine: 'native' }));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    const megabytes = process.memoryUsage().rss / 2 ** 20;
    const usage: WorkersUsage = { cpuMs: (user + system) / 1000, megabytes };
    process.send!(usage);
  });
  await Promise.allSettled(workers.map(({ finished }) => finished));
  process.disconnect();
}
