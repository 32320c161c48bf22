/** An engine that tells what is final while it computes, and waits meanwhile: for tests of what is done with it. */
import type { Engine, EngineOptions, OnFinal } from '../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../worker/engines/reference.ts';

export interface Telling {
  /** Sections of a gradient, of about one length. */
  readonly numSections?: number;
  /** Called after each section that was told, with its number from 1; the next one is computed when it has resolved. */
  readonly after?: (section: number) => Promise<void>;
}

/**
 * The reference engine's gradients, written from their end on, section by section: what is told is final, what is not
 * is NaN. The last section is not told.
 */
export async function createTellingEngine(options: EngineOptions, telling: Telling = {}): Promise<Engine> {
  const { numSections = 9, after = () => Promise.resolve() } = telling;
  const engine = await createReferenceEngine(options);
  const { numParameters, numBuffers } = options.plan;
  return {
    ...engine,
    async computeGradient(batch, into, onFinal?: OnFinal) {
      const result = { gradient: new Float32Array(numParameters), statistics: new Float32Array(numBuffers) };
      const sums = await engine.computeGradient(batch, result);
      into.gradient.fill(NaN);
      into.statistics.set(result.statistics);
      for (let section = 1; section <= numSections; section++) {
        const [first, end] = [numSections - section, numSections - section + 1].map((i) =>
          Math.floor((numParameters * i) / numSections),
        );
        into.gradient.set(result.gradient.subarray(first, end), first);
        if (section === numSections) break;
        onFinal?.(first!);
        await after(section);
      }
      return sums;
    },
  };
}
