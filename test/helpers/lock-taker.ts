/** A process that tries to lock each folder that it is told on stdin, several times at once, and says how often it could. */
import { createInterface } from 'node:readline';
import { lockRunDirectory } from '../../coordinator/run-directory/run-lock.ts';
import { ConfigError } from '../../protocol/errors.ts';

const AT_ONCE = 3;

process.stdout.write('here\n');
for await (const folder of createInterface({ input: process.stdin })) {
  const attempts = Array.from({ length: AT_ONCE }, () => lockRunDirectory(folder, '--resume'));
  const outcomes = await Promise.allSettled(attempts);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected' && !(outcome.reason instanceof ConfigError)) throw outcome.reason;
  }
  process.stdout.write(`${outcomes.filter(({ status }) => status === 'fulfilled').length}\n`);
}
