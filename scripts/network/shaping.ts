/** What `tc` is told, so that a device sends at a link's rate and, where the kernel has netem, with its delay. */
import type { Link } from './link.ts';

/** The longest packet that may be handed to a device in one: longer ones, tbf would cut up. */
const PACKET_BYTES = 16 * 1024;

/** As much as a small switch keeps for a port. */
const QUEUE_BYTES = 4 * 2 ** 20;

/** Of packets that netem holds back: far more than a delay and a rate of here come to. */
const HELD_PACKETS = 100_000;

/** A packet from host to host and its answer pass four devices that send: host, switch, host, switch. */
const DEVICES_OF_A_ROUND_TRIP = 4;

/**
 * Commands for `tc`, one a line, for what `device` sends. Rate: a token bucket (tbf) of two packets or a quarter of a
 * millisecond, so that next to nothing passes faster than the rate. Delay: netem below it.
 */
export function shapingCommands(device: string, { bitsPerSecond, roundTripMs }: Link, delayByNetem: boolean): string[] {
  if (!Number.isFinite(bitsPerSecond)) return [];
  const burst = Math.max(2 * PACKET_BYTES, Math.ceil(((bitsPerSecond / 8) * 0.25) / 1000));
  const rate = `qdisc add dev ${device} root handle 1: tbf rate ${bitsPerSecond}bit burst ${burst} limit ${QUEUE_BYTES}`;
  if (!delayByNetem || roundTripMs === 0) return [rate];
  const delay = (roundTripMs * 1000) / DEVICES_OF_A_ROUND_TRIP;
  return [rate, `qdisc add dev ${device} parent 1:1 netem delay ${delay}us limit ${HELD_PACKETS}`];
}
