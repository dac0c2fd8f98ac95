// Mounts and unmounts many images at once, as another process than the test's: mount-many.ts DIRECTORY PACKAGE COUNT.
// Begins at the first message, and answers with the number of images that were seen mounted.
import { pino } from 'pino';
import { createMounts } from '../../../controllers/mounts/mounts.ts';
import { readPackage } from '../../../src/npk/open-package.ts';

const [directory = '', path = '', count = ''] = process.argv.slice(2);
const mounts = createMounts({ runDir: directory, log: pino({ level: 'silent' }), verifyImage: async () => undefined });
const { signal } = new AbortController();

async function mountMany(): Promise<number> {
  const { image, identity } = await readPackage(path);
  const ids = Array.from({ length: Number(count) }, (_, index) => `many${index}:1.0.0`);
  const step = (id: string) => ({ name: id.split(':')[0] ?? '', id, waits: null });
  const { offset, size, type } = image;
  const plain = { integrity: 'none', tree: null, repository: 'system', devices: false, context: null } as const;
  const from = { path, offset, size, type, identity, ...plain };
  await Promise.all(ids.map((id) => mounts.act({ op: 'mount', ...step(id), image: from }, signal)));
  const seen = (await mounts.observe()).size;
  await Promise.all(ids.map((id) => mounts.act({ op: 'umount', ...step(id) }, signal)));
  return seen;
}

process.once('message', () => {
  mountMany().then(
    (seen) => process.send?.(seen, () => process.disconnect()),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
