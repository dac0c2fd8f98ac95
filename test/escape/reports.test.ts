// What each example, and some manifests beside them, give to the application: reviewed text in reports/. A container that
// may do more than before shows as a difference.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { capabilityNames } from '../../state/names.ts';
import { linesOf } from '../bench/rounds.ts';
import { run } from '../support/command.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { hostPid } from '../support/container-processes.ts';
import { running } from '../support/scenario.ts';
import { hostilePackage } from './payload.ts';
import { callsTitle, reportOf } from './report-text.ts';

const folder = join(import.meta.dirname, 'reports');
const accept = process.env['NORTHSTATE_ACCEPT_REPORTS'] === '1';

const allMounts = `mounts:
  /dev: { type: dev }
  /proc: { type: proc }
  /sys: { type: sysfs }
  /tmp: { type: tmpfs, size: 1Mi }
  /data: { type: persist }
  /host: { type: bind, host: /etc/skel }
  /open: { type: bind, host: /etc/skel, options: 'rw,nosuid,nodev' }
  /shared: { type: resource, name: greeting, version: ^1, dir: /, options: 'noexec,nosuid,nodev' }
`;
const fixture = (name: string, fields: string) => `name: ${name}
version: 1.0.0
init: /bin/${name}
uid: 1000
gid: 1000
io: { stdout: pipe, stderr: pipe }
${fields}`;
// CAP_SYS_RESOURCE is one that a virtual machine may lack itself.
const everything = capabilityNames.filter((name) => name !== 'CAP_SYS_RESOURCE').join(', ');
const fixtures: Readonly<Record<string, string>> = {
  'no-seccomp': fixture('no-seccomp', allMounts),
  'default-profile': fixture('default-profile', `seccomp: { profile: default }\n${allMounts}`),
  'net-admin': fixture('net-admin', 'seccomp: { profile: default }\ncapabilities: [CAP_NET_ADMIN]\n'),
  'sys-admin': fixture('sys-admin', `seccomp: { profile: default }\ncapabilities: [CAP_SYS_ADMIN]\n${allMounts}`),
  everything: fixture('everything', `network: host\ncapabilities: [${everything}]\n${allMounts}`),
};

/** Name -> manifest; resources have none to report, but are there for those that need them. */
const manifests = new Map(Object.entries(fixtures));
for (const file of globSync(join(import.meta.dirname, '../../examples/*/manifest.yaml'))) {
  manifests.set(basename(dirname(file)), await readFile(file, 'utf8'));
}
const names = [...manifests].filter(([, manifest]) => /^init:/m.test(manifest)).map(([name]) => name);

let daemon: Daemon;
before(async () => {
  const packages = await Promise.all([...manifests.values()].map((manifest) => hostilePackage(manifest)));
  const entries = names.map((name) => `${name}: { state: running, restart: { policy: never } }`);
  daemon = await startDaemon({ packages, document: (directory) => documentOf(directory, ...entries) });
});
after(() => daemon[Symbol.asyncDispose]());

for (const name of names) {
  test(`what ${name} is given is what was reviewed`, async () => {
    const { pid } = await running(daemon, name);
    const said = await linesOf(daemon.console, name, (lines) => lines.at(-1) === 'end');
    const report = reportOf(hostPid({ pid: pid ?? 0 }), said.slice(0, -1));
    const file = join(folder, `${name}.txt`);
    if (accept) await writeFile(file, report);
    const reviewed = await readFile(file, 'utf8');
    if (comparable(report) !== comparable(reviewed)) assert.fail(await explained(name, file, report));
  });
}

/** The names of system calls are those of x86_64; another architecture has others. */
function comparable(report: string): string {
  return process.arch === 'x64' ? report : report.slice(0, report.indexOf(callsTitle));
}

async function explained(name: string, file: string, report: string): Promise<string> {
  const found = join(daemon.directory, `${name}.txt`);
  await writeFile(found, report);
  const { stdout } = await run('diff', ['-u', file, found]);
  return `${name} is given something else than what was reviewed:
${stdout}
If that is right, NORTHSTATE_ACCEPT_REPORTS=1 node --test ${import.meta.filename} writes it down.`;
}
