// Classic BPF as seccomp(2) runs it, as far as libseccomp uses it: what a filter says to a call.

/** struct seccomp_data on a little-endian machine. */
export interface Call {
  readonly number: number;
  /** AUDIT_ARCH_*; the machine's own when left out. */
  readonly arch?: number;
  readonly args?: readonly bigint[];
}

const ownArch = process.arch === 'arm64' ? 0xc00000b7 : 0xc000003e;

/** The SECCOMP_RET_* value that a filter (an array of struct sock_filter) ends with. */
export function decide(filter: Uint8Array, { number, arch = ownArch, args = [] }: Call): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(arch, 4);
  args.forEach((value, index) => data.writeBigUInt64LE(value, 16 + 8 * index));
  const code = Buffer.from(filter);
  let accumulator = 0;
  for (let at = 0; at < code.length; at += 8) {
    const operation = code.readUInt16LE(at);
    const constant = code.readUInt32LE(at + 4);
    if (operation === LOAD) accumulator = data.readUInt32LE(constant);
    else if (operation === AND) accumulator = (accumulator & constant) >>> 0;
    else if (operation === JUMP) at += 8 * constant;
    else if (operation === RETURN) return constant;
    else at += 8 * code.readUInt8(at + (holds(operation, accumulator, constant) ? 2 : 3));
  }
  throw new Error('the filter has no end');
}

const LOAD = 0x20;
const AND = 0x54;
const JUMP = 0x05;
const RETURN = 0x06;

function holds(operation: number, accumulator: number, constant: number): boolean {
  switch (operation) {
    case 0x15:
      return accumulator === constant;
    case 0x25:
      return accumulator > constant;
    case 0x35:
      return accumulator >= constant;
    default:
      throw new Error(`unknown instruction ${operation.toString(16)}`);
  }
}
