/**
 * Keeps native libraries in memory when the thread that loaded them ends. Node unloads a thread's addons with it, while the
 * threads that TensorFlow has started still run its code: the process ended with a segmentation fault.
 */
import { constants } from 'node:os';

/** RTLD_NODELETE, which Node does not name: in glibc and musl, and on macOS. */
const NO_DELETE: Partial<Record<NodeJS.Platform, number>> = { linux: 0x1000, darwin: 0x80 };

/** For all addons that this thread loads from now on. */
export function keepLibraries(): void {
  const noDelete = NO_DELETE[process.platform];
  if (noDelete === undefined) return;
  const load = process.dlopen.bind(process);
  process.dlopen = (module: object, filename: string, flags: number = constants.dlopen.RTLD_LAZY) =>
    load(module, filename, flags | noDelete);
}
