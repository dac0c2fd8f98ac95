// The only file that imports koffi: every foreign call of the reconciler goes through here.
import { constants } from 'node:os';
import koffi from 'koffi';

// EWOULDBLOCK is another name of EAGAIN: the latter is meant by everybody.
const errnoNames = new Map(
  Object.entries({ ...constants.errno, EWOULDBLOCK: -1 }).map(([name, number]) => [number, name]),
);

/** The symbolic name of an errno value (errno(3)), `E<number>` for one that this system has no name for. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `E${errno}`;
}

/** A system call that failed: which call, on what, and errno(3) as number and as name (`code`). */
export class SyscallError extends Error {
  readonly call: string;
  readonly errno: number;
  readonly code: string;
  readonly subject: string;

  constructor(call: string, errno: number, subject: string) {
    const code = errnoName(errno);
    super(`${call} ${subject}: ${code}`);
    this.name = 'SyscallError';
    this.call = call;
    this.errno = errno;
    this.code = code;
    this.subject = subject;
  }
}

/** A value that koffi passes: a number, a string, a buffer of bytes (in or out), null. */
export type Argument = number | bigint | string | Uint8Array | object | null;
type Call = (subject: string, ...args: Argument[]) => number;
type AsyncCall = (subject: string, ...args: Argument[]) => Promise<number>;

/** Opens a shared library of the host (dlopen(3)); `null` is the C library itself. Throws when it is missing. */
export function loadLibrary(name: string | null): ReturnType<typeof koffi.load> {
  return koffi.load(name);
}

// Each asynchronous call has a stack and a heap of its own: as large as a system call needs, else they are mapped and unmapped.
koffi.config({ async_stack_size: 64 << 10, async_heap_size: 32 << 10 });

const libc = loadLibrary(null);

/** Where a buffer's bytes lie, for a structure that points to them. They stay there as long as the buffer is referenced. */
export function addressOf(buffer: Uint8Array): bigint {
  return koffi.address(buffer);
}

/** What a C function returns: `int`, or `long` for the likes of ssize_t. The wrong one hides errors. */
type Result = 'int' | 'long';

/**
 * Declares a C library function that answers -1 and sets errno when it fails. `args` are koffi type names. The function
 * it gives takes the subject for the error, then the arguments; it runs on the calling thread, so the call must be quick.
 */
export function declare(call: string, result: Result, args: string[], symbol: string = call): Call {
  const native = libc.func(symbol, result, args);
  return (subject, ...values) => {
    const value = native(...values) as number;
    if (value >= 0) return value;
    throw new SyscallError(call, koffi.errno(), subject);
  };
}

/** The same for a call that has nothing to do as a rule: null where it fails with EAGAIN, without an error being made of that. */
export function declareUnlessBusy(
  call: string,
  result: Result,
  args: string[],
  symbol: string = call,
): (subject: string, ...args: Argument[]) => number | null {
  const native = libc.func(symbol, result, args);
  return (subject, ...values) => {
    const value = native(...values) as number;
    if (value >= 0) return value;
    const errno = koffi.errno();
    if (errno === constants.errno.EAGAIN) return null;
    throw new SyscallError(call, errno, subject);
  };
}

/** The same as `declare` for a call that may block: it runs on a thread of koffi's pool, with at most `asyncCalls` others. */
export function declareAsync(call: string, result: Result, args: string[], symbol: string = call): AsyncCall {
  const native = libc.func(symbol, result, args);
  return async (subject, ...values) => {
    if (running >= asyncCalls) await new Promise<void>((resolve) => waiting.push(resolve));
    running += 1;
    try {
      return await new Promise((resolve, reject) => {
        native.async(...values, (error: Error | null, value: number) => {
          const errno = koffi.errno();
          if (error) reject(error);
          else if (value >= 0) resolve(value);
          else reject(new SyscallError(call, errno, subject));
        });
      });
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  };
}

/** Asynchronous calls that have not ended. */
export function callsUnderWay(): number {
  return running;
}

/** koffi throws at more than 256 calls at once, and takes a stack and a heap for each; there are 32 threads. */
const asyncCalls = 64;
const waiting: (() => void)[] = [];
let running = 0;

/**
 * Declares a raw system call by its number, for those without a wrapper in every C library (syscall(2)). Numbers from
 * 424 on are the same on every architecture.
 */
export function declareSyscall(call: string, number: number, args: string[]): Call {
  const native = declare(call, 'long', ['long', ...args], 'syscall');
  return (subject, ...values) => native(subject, number, ...values);
}
