/** What `--engine auto` passed over, and the one line that says which engine was chosen and why not another. */
import { describeError } from '../../protocol/errors.ts';
import type { Engine } from './engine.ts';
import type { GpuPlacement } from './gpus.ts';
import type { Candidate } from './registry.ts';

export interface PassedOver extends Candidate {
  /** In a few words, without a cure. */
  readonly reason: string;
  /** All that is known, with the cure. */
  readonly message: string;
  /** It seemed to be there, and failed to start or computed wrongly; otherwise it plainly is not there. */
  readonly isSurprise: boolean;
}

/** What was chosen, as far as it is told. */
interface Choice {
  readonly engine: Pick<Engine, 'name' | 'device'>;
  readonly gpu: GpuPlacement | undefined;
  readonly passedOver: readonly PassedOver[];
}

/** A candidate and why it was not taken, an error or a text. */
export function passOver(candidate: Candidate, error: unknown, isSurprise: boolean): PassedOver {
  const message = withoutFlag(describeError(error));
  return { ...candidate, reason: withoutCure(message), message, isSurprise };
}

/**
 * The engine, its device, which of several GPUs, and what was passed over:
 *
 *     engine native on cpu (avx512); passed over: onnx on cuda (no NVIDIA GPU), onnx on webgpu (...)
 */
export function choiceLine({ engine, gpu, passedOver }: Choice): string {
  const which = gpu ? `, gpu ${gpu.index} of ${gpu.numGpus}` : '';
  const chosen = `engine ${engine.name} on ${engine.device}${which}`;
  if (passedOver.length === 0) return chosen;
  const others = passedOver.map(({ engine: name, device, reason }) => `${name} on ${device ?? 'default'} (${reason})`);
  const advice = passedOver.some(({ isSurprise }) => isSurprise) ? '; what to do: gradsock engines' : '';
  return `${chosen}; passed over: ${others.join(', ')}${advice}`;
}

/** Says {@link choiceLine}: through `warn` when something better seemed to be there and failed, else through `log`. */
export function announceChoice(
  chosen: Choice,
  { log, warn }: Readonly<Record<'log' | 'warn', (line: string) => void>>,
): void {
  const say = chosen.passedOver.some(({ isSurprise }) => isSurprise) ? warn : log;
  say(choiceLine(chosen));
}

/** A message about an engine or device whose flag nobody gave: what it says after naming that. */
export function withoutFlag(message: string): string {
  return message.replace(/^(--(engine|device) \S+?( \(.*?\))?:? )+(on .*? (?=computes wrongly))?/, '');
}

/** Messages end with "; what to do"; before it there may be where that was seen, in parentheses. */
function withoutCure(message: string): string {
  const [reason] = message.split(/; |\n/) as [string];
  return reason.replace(/(.) \([^()]*\)$/, '$1');
}
