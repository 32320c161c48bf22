/** A survey as text: a table of engines and devices, and what the table has no room for. */
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import type { Finding } from './survey-process.ts';
import type { SurveyRow } from './survey.ts';

type Usable = Extract<Finding, { isUsable: true }>;

const NONE = '-';

/** Columns are padded; numbers stand to the right. `isTimed`: whether there are columns of times. */
export function formatTable(rows: readonly SurveyRow[], models: readonly ModelSpec[], isTimed: boolean): string {
  const headings = ['engine', 'device', 'probe error', ...(isTimed ? models.map(({ name }) => name) : [])];
  const cells = [headings, ...rows.map((row) => formatRow(row, isTimed))];
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
  return lines.join('\n');
}

function formatRow({ engine, device, findings }: SurveyRow, isTimed: boolean): string[] {
  const usable = findings.filter((finding) => finding.isUsable);
  if (usable.length === 0) return [engine, device, 'not usable'];
  const times = findings.map((finding) =>
    finding.isUsable && finding.stepMs !== null ? formatMs(finding.stepMs) : NONE,
  );
  return [engine, usable[0]!.device, worstProbeError(usable), ...(isTimed ? times : [])];
}

function worstProbeError(usable: readonly Usable[]): string {
  const errors = usable.flatMap(({ probe }) => (probe ? [probe.error] : []));
  return errors.length === 0 ? 'the judge' : Math.max(...errors).toExponential(1);
}

/** Why cells are empty or special, a line each; what holds for all models is said once. */
export function formatNotes(rows: readonly SurveyRow[]): string[] {
  return rows.flatMap(notesOf);
}

function notesOf({ engine, device, findings }: SurveyRow): string[] {
  const noteOf = (finding: Finding) => (finding.isUsable ? finding.note : finding.reason);
  const [first] = findings;
  if (first && !first.isUsable && findings.every((finding) => noteOf(finding) === first.reason)) {
    return [`${engine} on ${device}: ${first.reason}`];
  }
  return findings.flatMap((finding) => {
    const note = noteOf(finding);
    return note === undefined ? [] : [`${engine} on ${device}, ${finding.model}: ${note}`];
  });
}

/** "auto takes X", or by model where that differs. */
export function formatAuto(findings: readonly Finding[]): string {
  const modelsOf = new Map<string, string[]>();
  for (const finding of findings) {
    const what = finding.isUsable ? `${finding.engine} on ${finding.device}` : `nothing (${finding.reason})`;
    modelsOf.set(what, [...(modelsOf.get(what) ?? []), finding.model]);
  }
  const choices = [...modelsOf].map(([what, models]) =>
    modelsOf.size === 1 ? what : `${what} for ${models.join(', ')}`,
  );
  return `auto takes ${choices.join('; ')}`;
}

function formatMs(milliseconds: number): string {
  return milliseconds.toFixed(milliseconds < 10 ? 2 : milliseconds < 100 ? 1 : 0);
}
