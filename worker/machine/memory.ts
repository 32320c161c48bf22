/**
 * Memory of a process that trains: what is freed is kept. Sockets hand over what they read in fresh pieces, megabytes a
 * step; where each is returned to the system and faulted in anew, that takes longer than the reading.
 */
import { loadNativeAddon, nativeAvailability } from '../engines/native/loader.ts';

/** For a process that is started: glibc reads these, where no addon can tell it later. */
export const MEMORY_ENVIRONMENT = {
  MALLOC_MMAP_THRESHOLD_: String(32 * 2 ** 20),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 30),
};

/** For this process: through the native addon, if there is one. */
export function keepFreedMemory(): void {
  if (nativeAvailability().available) loadNativeAddon().keepFreedMemory();
}
