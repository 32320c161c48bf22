/** The flags of `gradsock rank`, which every process of a job is given alike. */
import type { Command } from 'commander';
import { serverTlsFlags } from '../run/tls-files.ts';
import type { ServerTlsFlags } from '../run/tls-files.ts';
import { tokenFileFlag } from '../run/token.ts';
import type { TokenFlags } from '../run/token.ts';
import { dashboardFlag, publicUrlFlag, workerCountFlags } from './commands.ts';
import { allReduceFlags } from './distribution.ts';
import { addEngineFlags, addRunFlags, flag } from './run-flags.ts';
import type { EngineFlags, RunFlags } from './run-flags.ts';
import { port, seconds, secondsOrNone, upTo } from './values.ts';

const MOST_WORKERS = 10_000;

export interface RankFlags extends RunFlags, EngineFlags, TokenFlags, ServerTlsFlags {
  /** Default: one for each rank. */
  workers?: number;
  minWorkers?: number;
  maxWorkers?: number;
  coordinatorHost?: string;
  service?: string;
  port?: number;
  joinFile?: string;
  advertise?: string;
  publicUrl?: string;
  joinTimeout: number;
  reconnect: number;
  /** False with --no-dashboard. */
  dashboard?: boolean;
}

export function addRankFlags(command: Command): Command {
  const withRun = addRunFlags(command, {
    distribution: [
      flag(
        '--workers <n>',
        'workers to wait for. Default: one per rank; an Indexed Job of Kubernetes needs it',
      ).argParser(upTo(MOST_WORKERS)),
      ...workerCountFlags(),
      ...allReduceFlags(),
    ],
    joining: [
      flag('--coordinator-host <host>', 'name or address of the machine of rank 0. Default: as the launcher says'),
      flag('--service <name>', 'headless Service of an Indexed Job, by which pods reach the pod of index 0'),
      flag(
        '--port <n>',
        'port of the coordinator, on the machine of rank 0. Default: MASTER_PORT, or the next one where torchrun listens ' +
          "there; by the job's number in Slurm; else 7878, or any with a join file",
      ).argParser(port),
      flag(
        '--join-file <path>',
        'file in a folder that all ranks see, for the URL and the token. Default: `join` in the run directory, where the ' +
          'ranks have no token or no address in common',
      ),
      flag('--advertise <host[:port]>', 'name or address for the join file. Default: that of the default route'),
      tokenFileFlag(),
      flag('--join-timeout <seconds>', 'longest wait of the coordinator for workers, and of ranks for the coordinator')
        .argParser(seconds)
        .default(600),
      flag('--reconnect <seconds>', 'longest wait for a coordinator that was lost after joining; 0: no wait')
        .argParser(secondsOrNone)
        .default(60),
      ...serverTlsFlags(),
      publicUrlFlag(),
      dashboardFlag(),
    ],
  });
  return addEngineFlags(withRun);
}
