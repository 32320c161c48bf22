/** Shared memory of this machine, through the native addon: names are "PROCESS/DESCRIPTOR". */
import { ConfigError } from '../../protocol/errors.ts';
import type { SharedMemorySystem } from '../../protocol/wire/shared-memory.ts';
import { loadNativeAddon, nativeAvailability } from '../engines/native/loader.ts';

/** Undefined where there is none: without the addon, or on a system other than Linux. */
export function sharedMemorySystem(): SharedMemorySystem | undefined {
  if (process.platform !== 'linux' || !nativeAvailability().available) return undefined;
  const addon = loadNativeAddon();
  return {
    create(numBytes) {
      const { descriptor, memory } = addon.createSharedMemory(numBytes);
      return { name: `${process.pid}/${descriptor}`, memory };
    },
    open(name, numBytes) {
      const match = /^(\d{1,9})\/(\d{1,9})$/.exec(name);
      if (!match) throw new ConfigError(`shared memory ${name}: expected a name of the form PROCESS/DESCRIPTOR`);
      return addon.openSharedMemory(Number(match[1]), Number(match[2]), numBytes);
    },
  };
}
