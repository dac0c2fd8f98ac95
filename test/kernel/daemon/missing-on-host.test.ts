// What is missing on the host when it is needed, and comes later.
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../support/command.ts';
import { openDescriptors } from '../../support/leaks.ts';
import { probe, probePackage } from '../../support/packages.ts';
import { endsClean, running } from '../../support/scenario.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';

/** Resolves when a condition of a container says so. */
const says = (daemon: Daemon, name: string, what: RegExp) =>
  daemon.untilContainer(name, `says ${what}`, ({ conditions }) => conditions.some(({ message }) => what.test(message)));

test('a source, a network namespace and a bind that are missing are looked for again when they appear', async () => {
  const before = openDescriptors();
  await using daemon = await startDaemon({ packages: [], document: (directory) => documentOf(directory) });
  const [inbox, tools] = [join(daemon.directory, 'inbox'), join(daemon.directory, 'tools')];
  const network = join('/run/netns', daemon.mark);
  const app = await probePackage({ name: 'app' });
  const netted = await probePackage({ name: 'netted', fields: `network: !namespace ${daemon.mark}` });
  const needy = await probePackage({
    name: 'needy',
    fields: `init: /tools/probe\nmounts: { /tools: { type: bind, host: ${tools} } }`,
  });
  for (const file of [netted, needy]) await copyFile(file, join(daemon.repository, basename(file)));
  const source = join(inbox, basename(app));
  await daemon.write(
    documentOf(
      daemon.repository,
      `app: { version: 1.0.0, source: ${source} }`,
      'netted: { version: 1.0.0 }',
      'needy: { version: 1.0.0, restart: { backoff: 1h, maxBackoff: 1h } }',
    ),
  );
  await says(daemon, 'app', /source .*: no such file/);
  await says(daemon, 'netted', new RegExp(`network namespace ${daemon.mark}: .* cannot be opened: ENOENT`));
  await says(daemon, 'needy', /has no \/tools\/probe.*ENOENT/);

  await mkdir(inbox);
  await copyFile(app, `${source}.part`);
  await rename(`${source}.part`, source);
  await running(daemon, 'app');

  // As ip-netns(8) makes one: first the file, then the mount on it.
  await mkdir('/run/netns', { recursive: true });
  await writeFile(network, '');
  try {
    await says(daemon, 'netted', /no namespace is mounted on .* yet/);
    await run('unshare', [`--net=${network}`, 'true']);
    await running(daemon, 'netted');
  } finally {
    await run('umount', [network]);
    await rm(network);
  }

  await mkdir(`${tools}.part`);
  await copyFile(await probe(), join(`${tools}.part`, 'probe'));
  await rename(`${tools}.part`, tools);
  await daemon.untilContainer(
    'needy',
    'runs, before its entry would have tried it again',
    ({ phase }) => phase === 'Running',
  );
  await endsClean(daemon, before);
});
