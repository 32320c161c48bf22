/** The engine contract, once for each instruction set that is built and that this CPU has. */
import { describe, expect, it } from 'vitest';
import { nativeAvailability } from '../../../../worker/engines/native/loader.ts';
import { createNativeEngine } from '../../../../worker/engines/native/native-engine.ts';
import { describeEngineContract } from '../../../contracts/engine.contract.ts';

const availability = nativeAvailability();
const instructionSets = availability.available ? availability.instructionSets : [];

describe.skipIf(!availability.available)('the native engine', () => {
  it('has an instruction set to test', () => {
    expect(instructionSets).not.toEqual([]);
  });

  for (const device of instructionSets) {
    describeEngineContract(`native (${device})`, {
      create: (options) => createNativeEngine({ device, ...options }),
      sizes: [1, 17, 64],
    });
  }
});
