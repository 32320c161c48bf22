/** Verdict: what a run's time is spent on, in words. Flags that it names stay in one piece, for people to copy. */
import type { ComponentChildren } from 'preact';

export interface VerdictProps {
  readonly text: string;
}

/** A flag with its value: "--global-batch 512". */
const FLAG = /(--[a-z-]+(?: (?!or )[\w.]+)?)/;

export function Verdict({ text }: VerdictProps): ComponentChildren {
  // Every second part is what the pattern took.
  const parts = text.split(FLAG).map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : part));
  return <p class="verdict">{parts}</p>;
}
