// A thread with engines that fail, block or end it, for `engine-thread.test.ts`.
import { register } from 'tsx/esm/api';

register();
await import('./stand-ins.ts');
