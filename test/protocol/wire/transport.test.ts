import { memoryTransportPair } from '../../../protocol/wire/transport.ts';
import { transportContract } from '../../contracts/transport.contract.ts';

transportContract('memory', () => Promise.resolve({ ends: memoryTransportPair(), free: () => Promise.resolve() }));
