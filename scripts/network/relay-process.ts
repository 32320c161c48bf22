/**
 * The relay of one emulated host as a process of its own. Takes {@link RelayOptions} as JSON, its last argument; sends
 * its port to the process that started it, and ends with that one.
 */
import { setPriority } from 'node:os';
import { startRelay } from './relay.ts';
import type { RelayOptions } from './relay.ts';

process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());
try {
  // It stands for a wire, which waits for no CPU.
  setPriority(-10);
} catch {
  // Not permitted: it takes its turn.
}
const { port } = await startRelay(JSON.parse(process.argv.at(-1)!) as RelayOptions);
process.send!({ port });
