// A device with our release and the updaters of Debian, and the bundles that it is updated with.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, type Output } from '../support/command.ts';
import { makeDeviceRoot, type Device, type DeviceRoot } from '../support/device-root.ts';
import { leftovers, openDescriptors } from '../support/leaks.ts';
import { release, unpack } from '../support/made-release.ts';
import { probePackage } from '../support/packages.ts';
import { cache } from '../vm/kept.ts';

/** RAUC, SWUpdate, Mender and what they need, as Debian has them. */
const updaters = join(cache, 'updaters.tar');

export interface UpdatedDevice extends AsyncDisposable {
  readonly root: DeviceRoot;
  readonly device: Device;
  /** A path of the device, as it is from here. */
  path(name: string): string;
  /** Runs a shell script there; an exit code but 0 fails the test with all that it said. */
  sh(script: string): Promise<Output>;
  /** The version of hello that runs, once the document is reached. */
  version(): Promise<string>;
  /** What the installed packages are. */
  packages(): Promise<readonly string[]>;
}

const documentOf = (version: string, more = ''): string => `apiVersion: northstate/v1
repositories:
  system: { type: fs, dir: /usr/share/northstate/packages }
  inbox: { type: fs, dir: /var/lib/northstate/inbox }
containers:
  hello: { version: ${version}, state: running }
${more}...
`;

/** The runtime is up, hello 1.0.0 runs; in /root/good is a bundle with 1.1.0, in /root/bad one that cannot be reached. */
export async function startUpdatedDevice(): Promise<UpdatedDevice> {
  assert.ok(existsSync(updaters), `${updaters} is missing: run sh native/setup.sh --updaters`);
  const descriptors = openDescriptors();
  const root = await makeDeviceRoot();
  const path = (name: string): string => join(root.directory, name);
  await ok(
    'tar',
    '-xf',
    updaters,
    '-C',
    root.directory,
    '--keep-directory-symlink',
    '--exclude=./dev/*',
    '--exclude=./bin/busybox',
  );
  const work = await mkdtemp(join(tmpdir(), 'northstate-updated-'));
  const archive = (await release(join(work, 'out'))).find((name) => name.endsWith('.tar.zst')) ?? '';
  await mkdir(join(work, 'unpacked'));
  await ok('sh', await unpack(join(work, 'out', archive), join(work, 'unpacked')), '--root', root.directory);
  await rm(work, { recursive: true });
  await writeFile(path('etc/northstate/config.yaml'), `cgroup: ${root.mark}\n`);
  await writeFile(path('etc/northstate/desired.yaml'), documentOf('1.0.0'));
  for (const [folder, version] of [
    ['usr/share/northstate/packages', '1.0.0'],
    ['root/good', '1.1.0'],
    ['root/bad', '1.2.0'],
  ] as const) {
    await mkdir(path(folder), { recursive: true });
    await copyFile(
      await probePackage({ name: 'hello', version, args: ['sleep'] }),
      path(`${folder}/hello-${version}.npk`),
    );
  }
  await mkdir(path('var/lib/northstate/inbox'), { recursive: true });
  await writeFile(path('root/good/desired.yaml'), documentOf('1.1.0'));
  await writeFile(
    path('root/bad/desired.yaml'),
    documentOf('1.2.0', '  missing: { version: 1.0.0, state: running }\n'),
  );
  const device = await root.boot({ readOnly: false });
  await device.start();
  return {
    ...{ root, device, path },
    async sh(script) {
      const output = await device.run('sh', '-ec', script);
      assert.equal(output.code, 0, `${script}\n${output.stdout}${output.stderr}`);
      return output;
    },
    async version() {
      const { code, stderr } = await device.run('northstate', 'wait', '--for', 'converged', '--timeout', '60s');
      assert.equal(code, 0, stderr);
      return (await device.run('northstate', 'get', '-o', 'jsonpath={.containers.hello.version}')).stdout.trim();
    },
    async packages() {
      return (await device.run('northstate', 'list')).stdout.split('\n').filter((line) => line !== '');
    },
    async [Symbol.asyncDispose]() {
      await device[Symbol.asyncDispose]();
      await root[Symbol.asyncDispose]();
      assert.deepEqual(await leftovers(root.mark, descriptors), []);
    },
  };
}

/** A program of this machine, which must end with 0. */
export async function ok(...[command = '', ...args]: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, args);
  assert.equal(code, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

/** A key and its own certificate in the device's /root, `key.pem` and `cert.pem`. */
export async function makeCertificate({ path }: UpdatedDevice): Promise<void> {
  await ok(
    ...[
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '7300',
      '-subj',
      '/O=northstate/CN=signer',
    ],
    ...['-addext', 'extendedKeyUsage=emailProtection', '-addext', 'keyUsage=digitalSignature'],
    ...['-keyout', path('root/key.pem'), '-out', path('root/cert.pem')],
  );
}
