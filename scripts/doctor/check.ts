/** A check: one question about a machine, the way to a coordinator or its run, what was found, and the cure. */

/** `skipped`: it could not be made, because of another that failed, or does not apply. */
export type Mark = 'ok' | 'warn' | 'fail' | 'skipped';

export const SECTIONS = ['way', 'run', 'machine'] as const;
export type Section = (typeof SECTIONS)[number];

export interface Check {
  readonly section: Section;
  /** In one or two words, the same whatever is found: "round trip". */
  readonly name: string;
  readonly mark: Mark;
  /** What was found, with its figures. */
  readonly text: string;
  /** What to do, where something is wrong. */
  readonly cure?: string | undefined;
  /** The figures for programs; units are in the names. */
  readonly figures?: Readonly<Record<string, number | string | boolean>>;
}

/** Told of each check as soon as it has been made. */
export type Tell = (check: Check) => void;

/** Of one section: each check by its name. */
export function checksOf(section: Section, tell: Tell) {
  const say =
    (mark: Mark) =>
    (name: string, text: string, rest: Pick<Check, 'cure' | 'figures'> = {}): void =>
      tell({ section, name, mark, text, ...rest });
  return { ok: say('ok'), warn: say('warn'), fail: say('fail'), skip: say('skipped') };
}
