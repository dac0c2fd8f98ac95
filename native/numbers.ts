// Numbers of system calls below 424, which differ between architectures (syscalls(2)).

/** The number on the machine that runs this. Throws on an architecture that northstate is not built for. */
export function syscallNumber(call: string, numbers: { readonly x64: number; readonly arm64: number }): number {
  if (process.arch === 'x64' || process.arch === 'arm64') return numbers[process.arch];
  throw new Error(`${call}: no system call number for ${process.arch}; northstate runs on x64 and arm64`);
}
