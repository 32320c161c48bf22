import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../protocol/errors.ts';
import { addonPath, instructionSetsOf, PLATFORM, reportPath } from '../../../../worker/engines/native/build-output.ts';
import type { BuildReport } from '../../../../worker/engines/native/build-output.ts';
import { availabilityIn, loadNativeAddon, nativeAvailability } from '../../../../worker/engines/native/loader.ts';

const everywhere = instructionSetsOf(process.arch).at(-1)!;
const built = nativeAvailability();

describe('the native addon where something is missing', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'gradsock-native-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  const leave = (report: Partial<BuildReport>): void =>
    writeFileSync(reportPath(directory), JSON.stringify({ key: '', instructionSets: [], status: 'built', ...report }));

  it('was never built: the cure is to build', () => {
    expect(availabilityIn(directory)).toEqual({
      available: false,
      reason: 'its kernels were not built',
      cure: 'run gradsock engines, which builds them for this machine',
    });
  });

  it('found no compiler: the cure is to install one', () => {
    leave({ status: 'no-compiler' });
    expect(availabilityIn(directory)).toMatchObject({
      available: false,
      reason: 'no C++ compiler was found',
      cure: expect.stringContaining('install g++ or clang++'),
    });
  });

  it('did not compile: the reason names the log', () => {
    leave({ status: 'failed', log: '/somewhere/build.log' });
    expect(availabilityIn(directory)).toMatchObject({
      available: false,
      reason: 'its kernels did not compile (/somewhere/build.log)',
    });
  });

  it('was built for another system: the reason names both', () => {
    leave({ instructionSets: [everywhere], platform: 'plan9-mips' });
    expect(availabilityIn(directory)).toMatchObject({
      available: false,
      reason: `its kernels were built for plan9-mips, and this is ${PLATFORM}`,
    });
  });

  it('is built but does not load: the reason is what the system says', () => {
    leave({ instructionSets: [everywhere] });
    writeFileSync(addonPath(directory, everywhere), 'no shared library');
    const availability = availabilityIn(directory);
    expect(availability).toMatchObject({
      available: false,
      reason: expect.stringMatching(/^its addon does not load: .*gradsock-/),
    });
  });

  it('has a report that cannot be read: it counts as never built', () => {
    writeFileSync(reportPath(directory), '{"status":');
    expect(availabilityIn(directory)).toMatchObject({ available: false, reason: 'its kernels were not built' });
  });

  it('refuses to load, as a ConfigError with reason and cure', () => {
    leave({ status: 'no-compiler' });
    expect(() => loadNativeAddon(undefined, availabilityIn(directory))).toThrow(ConfigError);
    expect(() => loadNativeAddon(undefined, availabilityIn(directory))).toThrow(
      /no C\+\+ compiler .*install g\+\+.*another engine/,
    );
  });
});

describe.skipIf(!built.available)('the native addon as built here', () => {
  it('loads the build for the best instruction set of this CPU', () => {
    const addon = loadNativeAddon();
    expect(addon.instructionSet).toBe(addon.instructionSets[0]);
    expect(addon.instructionSets).toContain(everywhere);
  });

  it('loads the build asked for by name', () => {
    expect(loadNativeAddon(everywhere).instructionSet).toBe(everywhere);
  });

  it('refuses an instruction set that is not here, naming those that are', () => {
    const foreign = process.arch === 'arm64' ? 'avx512' : 'neon';
    expect(() => loadNativeAddon(foreign)).toThrow(ConfigError);
    expect(() => loadNativeAddon(foreign)).toThrow(new RegExp(`--device ${foreign}: .*use one of .*${everywhere}`));
  });
});
