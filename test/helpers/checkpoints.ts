/** Small checkpoints of a run that never was. */
import { createHash } from 'node:crypto';
import { createReplica } from '../../protocol/state/replica.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { encodeCheckpoint, outcomeSha256 } from '../../coordinator/run-directory/checkpoint.ts';
import type { CheckpointHeader, RunPoint } from '../../coordinator/run-directory/checkpoint.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { runConfig } from './cluster.ts';

export const RUN_ID = 'abc123';

/** A replica whose every value tells `step`. */
export function replicaAt(step: number, config = runConfig()) {
  const replica = createReplica(planModel(config.model), config.optimizer, config.seed);
  replica.restore(new Float32Array(replica.state.length).fill(step), step);
  return replica;
}

export function headerAt(
  point: Partial<RunPoint> & { step: number },
  config: RunConfig = runConfig(),
): CheckpointHeader {
  const figures = { epochsDone: 0, testAccuracy: null, bestTestAccuracy: null, seconds: 1.5 };
  return { runId: RUN_ID, model: config.model, configSha256: outcomeSha256(config), point: { ...figures, ...point } };
}

export function checkpointFile(header: CheckpointHeader, state = replicaAt(header.point.step).state) {
  const file = Buffer.from(encodeCheckpoint(header, state));
  const hashed = file.subarray(0, -32);
  createHash('sha256').update(hashed).digest().copy(file, hashed.length);
  return file;
}
