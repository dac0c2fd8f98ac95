// The modes of what is shipped: the same, whatever the umask of who has made the sources and the release.
import { chmod, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Directories 0755, files 0644 or, where their owner may execute them, 0755. Links are left alone. */
export async function setModes(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}
