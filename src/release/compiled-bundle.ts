// What the reconciler is compiled to, for the Node that is installed: V8 takes nothing that another one compiled, and one for
// another processor is emulated for it.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { architectures, type Architecture } from './architectures.ts';

const run = promisify(execFile);

/** Compiles the bundle of an installation in `folder`, whose Node is there. */
export async function compileBundle(root: string, architecture: Architecture, folder: string): Promise<void> {
  const { node, gnu, emulator } = architectures[architecture];
  // The libraries are those of the cross compiler.
  const emulated = node === process.arch ? [] : [emulator, '-L', `/usr/${gnu}`];
  const words = [join(folder, 'bundle'), ...emulated, join(folder, 'node')];
  await run(process.execPath, [join(root, 'native/compile-bundle.ts'), ...words]);
}
