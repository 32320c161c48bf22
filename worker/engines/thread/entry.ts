/** What an engine's thread runs. */
import { parentPort } from 'node:worker_threads';
import { BLOCKING_ENGINES } from './blocking-engines.ts';
import { keepLibraries } from './keep-libraries.ts';
import { serveEngines } from './serve.ts';

keepLibraries();
serveEngines(parentPort!, BLOCKING_ENGINES);
