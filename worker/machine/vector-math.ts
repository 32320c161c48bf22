/** The fastest VectorMath of this machine: the native addon's where it was built, else the plain one; the same bits. */
import { plainVectorMath } from '../../protocol/vectors/vector-math.ts';
import type { VectorMath } from '../../protocol/vectors/vector-math.ts';
import { nativeAvailability } from '../engines/native/loader.ts';
import { createNativeVectorMath } from '../engines/native/vector-math.ts';

export function fastestVectorMath(): VectorMath {
  return nativeAvailability().available ? createNativeVectorMath() : plainVectorMath;
}
