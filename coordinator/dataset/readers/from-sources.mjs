// What a decoding thread runs when the program runs from its TypeScript sources: a thread inherits no loader.
import { register } from 'tsx/esm/api';

register();
await import('./decode-thread.ts');
