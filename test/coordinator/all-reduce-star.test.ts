import { allReduceContract } from '../contracts/all-reduce.contract.ts';

// One gradient up and one average down for each worker.
allReduceContract('star', { workers: [1, 2, 3, 4, 5], payloadsPerStep: (numWorkers) => numWorkers });
