import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MODELS } from '../../../protocol/state/models.ts';
import { surveyOne } from '../../../scripts/survey/survey.ts';
import { allGone } from '../../helpers/cli.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const job = { engine: 'native', device: 'cpu', models: Object.values(MODELS).slice(0, 3), samples: undefined };

/** A surveying process that, for each model in turn, does what `behaviour` says; `model` is its name. */
function programThat(behaviour: string): string {
  const path = join(temporaryFolder(), 'survey-process.mjs');
  const finding = `{ model, isUsable: true, engine: 'native', device: 'pid ' + process.pid, probe: null, stepMs: 1 }`;
  writeFileSync(
    path,
    `const answer = (model) => new Promise((resolve) => process.send(${finding}, resolve));
     process.once('message', async ({ models }) => {
       for (const { name: model } of models) { ${behaviour} }
       process.exit();
     });`,
  );
  return path;
}

describe('a surveying process', () => {
  it('that answers for every model is one', async () => {
    const findings = await surveyOne(job, { program: programThat('await answer(model);'), deadlineMs: 30_000 });
    expect(findings.map(({ model }) => model)).toEqual(job.models.map(({ name }) => name));
    expect(new Set(findings.map((finding) => finding.isUsable && finding.device)).size).toBe(1);
  });

  it('that is killed costs the model it was at: the others get another process', async () => {
    const program = programThat(
      `if (model === 'conv') { console.error('free(): invalid pointer'); process.kill(process.pid, 'SIGABRT'); await new Promise(() => {}); }
       await answer(model);`,
    );
    const findings = await surveyOne(job, { program, deadlineMs: 30_000 });
    expect(findings.map(({ isUsable }) => isUsable)).toEqual([true, false, true]);
    expect(findings[1]).toEqual({
      model: 'conv',
      isUsable: false,
      reason: 'its process was ended by SIGABRT: free(): invalid pointer',
    });
  });

  it('that exits without an answer is told by its code', async () => {
    const [finding] = await surveyOne({ ...job, models: [MODELS.dense] }, { program: programThat('process.exit(3);') });
    expect(finding).toMatchObject({ isUsable: false, reason: 'its process exited with code 3' });
  });

  it('that hangs is ended at the deadline, and gone', async () => {
    const program = programThat(`console.error(process.pid); while (model === 'conv-pool'); await answer(model);`);
    const findings = await surveyOne(job, { program, deadlineMs: 4000 });
    expect(findings.map(({ isUsable }) => isUsable)).toEqual([true, true, false]);
    const { reason } = findings[2] as { reason: string };
    expect(reason).toMatch(/^its process gave no answer within 4 s and was ended: \d+$/);
    await allGone([Number(reason.split(' ').at(-1))]);
  });
});
