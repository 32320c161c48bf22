/** What a launcher tells of one process. */
export interface FamilyPart {
  readonly rank: number;
  /** How many processes there are; undefined where the launcher does not say. */
  readonly size: number | undefined;
  /** The number of this process among those of its machine. */
  readonly localRank: number;
  /** Workers that this process has. Default: 1. */
  readonly workersPerRank?: number;
  /** Whether all processes are known to be on this machine. */
  readonly isOneHost: boolean;
  /** Where rank 0 is. */
  readonly host?: string | undefined;
  /** Free for the coordinator on that machine. */
  readonly port?: number | undefined;
}
