// Another launcher for a launcher of a test: as a script, which is how the command of an installation executes one.
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launcherProgram, type RemoteReconciler, type TestLauncher } from './test-launcher.ts';

const script = join(import.meta.dirname, 'steered-reconciler.ts');

/** Writes one that executes `program` (this build's when left out); gives its command line. */
export async function successorCommand(launcher: TestLauncher, program = launcherProgram()): Promise<string[]> {
  const command = join(launcher.directory, 'successor');
  const words = [program, '--', process.execPath, script, join(launcher.directory, 'test')];
  await writeFile(command, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')}\n`);
  await chmod(command, 0o755);
  return [command];
}

/** Has it prove itself and take over; gives the reconciler of the new launcher. */
export async function takeOver(
  launcher: TestLauncher,
  reconciler: RemoteReconciler,
  program?: string,
): Promise<RemoteReconciler> {
  const proof = reconciler.call('prove', await successorCommand(launcher, program), 60_000);
  const prover = await launcher.reconciler();
  await prover.call('proven', true, Buffer.from('nothing to do')).catch(() => undefined);
  await proof;
  const next = launcher.reconciler();
  await reconciler.call('takeover').catch(() => undefined);
  return await next;
}
