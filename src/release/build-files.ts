// What build systems include or start by name; the rest of src/build is in the bundle.
import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const files = ['cargo/cargo-npk', 'cmake/NorthstateConfig.cmake', 'make/northstate.mk'];

/** Copies them from a checkout, as they lie there; `northstate path` looks for them beside the bundle. */
export async function copyBuildFiles(root: string, target: string): Promise<void> {
  for (const file of files) {
    await mkdir(dirname(join(target, file)), { recursive: true });
    await copyFile(join(root, 'src/build', file), join(target, file));
  }
  await chmod(join(target, 'cargo/cargo-npk'), 0o755);
}
