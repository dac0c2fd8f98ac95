// R_HEALTH: what a container that runs is to be asked (native/launcher/probe.h).
import { isIPv4 } from 'node:net';
import { createEncoder } from './encoder.ts';
import { encodeList, type Op } from './ops.ts';

/** One probe. `ops`: how it joins the container, of those that look into it; [] for tcp and http. Times in ms. */
export interface ProbeOrder {
  readonly role: 'ready' | 'alive';
  readonly kind: 'exec' | 'tcp' | 'http' | 'unix' | 'file';
  readonly every: number;
  readonly timeout: number;
  readonly failures: number;
  readonly address: string;
  readonly port: number;
  readonly path: string;
  readonly ops: readonly Op[];
}

export interface HealthOrder {
  readonly id: number;
  /** Not 0: E_ATTEMPT says what was asked for last. */
  readonly revision: number;
  /** 0 = no bound. */
  readonly within: number;
  readonly watchdog: number;
  readonly notify: boolean;
  readonly probes: readonly ProbeOrder[];
}

const kinds = { exec: 1, tcp: 2, http: 3, unix: 4, file: 5 } as const;

/** The request's body, and the descriptors that travel with it. Throws RequestTooLarge. */
export function encodeHealth(order: HealthOrder): { body: Uint8Array; fds: number[] } {
  const fds: number[] = [];
  const to = createEncoder();
  to.u64(BigInt(order.id));
  to.u32(order.revision);
  to.u32(order.within);
  to.u32(order.watchdog);
  to.u8(order.notify ? 1 : 0);
  to.u8(order.probes.length);
  for (const probe of order.probes) {
    const isDialled = probe.kind === 'tcp' || probe.kind === 'http';
    to.u8(probe.role === 'ready' ? 0 : 1);
    to.u8(kinds[probe.kind]);
    to.u8(isDialled ? (isIPv4(probe.address) ? 4 : 6) : 0);
    to.u16(probe.port);
    to.u32(probe.every);
    to.u32(probe.timeout);
    to.u32(probe.failures);
    for (const byte of isDialled ? addressBytes(probe.address) : new Uint8Array(16)) to.u8(byte);
    to.text(probe.kind === 'http' ? probe.path : '');
    to.bytes(probe.ops.length === 0 ? new Uint8Array() : encodeList(probe.ops, fds));
  }
  return { body: to.end(), fds };
}

/** Sixteen bytes in network order, of which IPv4 takes four. */
export function addressBytes(address: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (isIPv4(address)) {
    bytes.set(address.split('.').map(Number));
    return bytes;
  }
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const first = wordsOf(head);
  const last = tail === undefined ? [] : wordsOf(tail);
  const words = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
  words.forEach((word, index) => bytes.set([word >> 8, word & 0xff], index * 2));
  return bytes;
}

/** The last 32 bits may be written as IPv4 is. */
function wordsOf(text: string): number[] {
  return text.split(':').flatMap((part) => {
    if (part === '') return [];
    if (!part.includes('.')) return [parseInt(part, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
