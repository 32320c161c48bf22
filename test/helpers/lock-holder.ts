/** A process that takes the lock of a folder, says `held` or why not, and keeps it until it is killed. */
import { lockRunDirectory } from '../../coordinator/run-directory/run-lock.ts';
import { describeError } from '../../protocol/errors.ts';

const [folder, timing] = process.argv.slice(2) as [string, string];
const options = { timing: JSON.parse(timing) as { renewMs: number; lookMs: number; numLooks: number } };
try {
  await lockRunDirectory(folder, '--resume', options);
  process.stdout.write('held\n');
  // The lock's own timer keeps no process alive.
  setInterval(() => {}, 1000);
} catch (error) {
  process.stdout.write(`refused: ${describeError(error)}\n`);
}
