// What a test has the reconciler do besides the launcher's own requests: sandboxes of packages, images mounted in the
// namespace that the reconciler lives in.
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Operations } from '../../controllers/containers/containers-act.ts';
import type { Target, View } from '../../controllers/controller.ts';
import { createSandboxes } from '../../controllers/sandbox/sandbox-open.ts';
import { createDescriptors } from '../../controllers/sandbox/start-descriptors.ts';
import { packageOf } from '../../controllers/repositories/repository.ts';
import { attachLoop } from '../../native/loop-device.ts';
import { mountImage } from '../../native/mount.ts';
import { mountAt } from '../../native/statx.ts';
import { openPackage } from '../../src/npk/open-package.ts';
import type { ObservedAttempt, ObservedMount, ObservedPackage } from '../../state/observed.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';

/** A container to start. Fields stand for those of its entry in the document. */
export interface Box {
  readonly id: number;
  /** Path of the package. */
  readonly package: string;
  /** By target: the package of the resource. */
  readonly resources?: Readonly<Record<string, string>>;
  readonly init?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string | null>>;
  readonly rlimits?: Readonly<Record<string, { readonly soft: number | null; readonly hard: number | null }>>;
  /** Paths of cgroup.procs to join. */
  readonly procs?: readonly string[];
  /** A cgroup v2 directory to be born in. */
  readonly group?: string;
  /** Contexts of the manifest are taken for ones that mean something. */
  readonly selinux?: boolean;
}

export interface SandboxCalls {
  /** Makes the sandbox; gives the hash of its specification. */
  prepareBox(box: Box): Promise<string>;
  startBox(box: Box): Promise<void>;
  /** The hash that a sandbox would have if it were made now. */
  hashBox(box: Box): Promise<string>;
  /** Removes the files of sockets that nobody holds. */
  sweepSockets(name: string | null): Promise<void>;
}

const outputSize = 65536;
const loopTimeout = 10_000;

/** The reconciler's side. Directories are made below NORTHSTATE_TEST_DIR. */
export function createCalls(launcher: Launcher): SandboxCalls {
  const directory = process.env['NORTHSTATE_TEST_DIR'] ?? '';
  const mounts = new Map<string, Promise<Mounted>>();

  function mounted(path: string): Promise<Mounted> {
    const known = mounts.get(path) ?? mountPackage(path, join(directory, 'images'));
    mounts.set(path, known);
    return known;
  }

  async function view(box: Box): Promise<[View, Target]> {
    const { mount, found } = await mounted(box.package);
    const resources = Object.entries(box.resources ?? {}).map(async ([target, path]) => {
      return { target, mount: (await mounted(path)).mount };
    });
    return stubs(box, mount, found, await Promise.all(resources));
  }

  const socketDir = join(directory, 'sockets');
  const log = { warn: () => undefined };
  const descriptors = createDescriptors({ socketDir, console: () => Promise.resolve(null), log });
  const sandboxes = (box: Box) =>
    createSandboxes({
      dataDir: join(directory, 'data'),
      socketDir,
      outputSize,
      leaf: () => Promise.resolve(leafOf(box)),
      joinLeaf: () => Promise.resolve(leafOf(box)),
      limits: () => ({ files: [], close: () => undefined }),
      descriptors,
      selinux: box.selinux ?? false,
      log,
    });

  async function sent<T extends Operations>(operations: T, send: (operations: T) => Promise<void>): Promise<T> {
    try {
      await send(operations);
      return operations;
    } finally {
      operations.close();
    }
  }

  return {
    async prepareBox(box) {
      const [container, target] = await view(box);
      const made = await sent(await sandboxes(box).prepare(container, target, box.id), ({ ops, hash }) =>
        launcher.prepare({ id: box.id, name: container.name, hash, record: new Uint8Array(), ops }),
      );
      return made.hash;
    },
    async startBox(box) {
      const [container, target] = await view(box);
      await sent(await sandboxes(box).go(container, target, {} as ObservedAttempt), ({ ops }) =>
        launcher.go({ id: box.id, after: 0, record: new Uint8Array(), ops }),
      );
    },
    async hashBox(box) {
      return sandboxes(box).hash(...(await view(box)));
    },
    sweepSockets: async (name) => descriptors.sweep(name),
  };
}

interface Mounted {
  readonly mount: ObservedMount;
  readonly found: ObservedPackage;
}

async function mountPackage(path: string, directory: string): Promise<Mounted> {
  const { package: content, handle } = await openPackage(path);
  const { name, version, manifest, defects, logs, image, identity } = content;
  const id = `${name}:${version}`;
  const target = join(directory, id);
  mkdirSync(target, { recursive: true });
  const device = await attachLoop(handle.fd, image, id, id, loopTimeout);
  const devices = [...(manifest.mounts ?? []).values()].some(({ type }) => type === 'dev');
  await mountImage(device.path, target, { type: image.type, devices, context: null });
  device.close();
  await handle.close();
  const mountId = mountAt(target)?.mountId ?? 0;
  return {
    mount: { id, name, version, mountId, target, backing: null, integrity: 'intact' },
    found: packageOf(
      { name, version, manifest, defects, logs, image, signed: null },
      { repository: 'test', path, identity, digest: null, integrity: 'none' },
    ),
  };
}

function leafOf({ procs = [], group }: Box) {
  const opened = procs.map((path) => openSync(path, 'w'));
  const directory = group === undefined ? null : openSync(group, 'r');
  const close = (): void => [...opened, ...(directory === null ? [] : [directory])].forEach((fd) => closeSync(fd));
  return { directory, procs: opened, oom: null, close };
}

/** Just what sandboxes look at. */
function stubs(
  { init, args, env = {}, rlimits }: Box,
  mount: ObservedMount,
  found: ObservedPackage,
  resources: readonly { readonly target: string; readonly mount: ObservedMount }[],
): [View, Target] {
  const { name, version } = found;
  const target = {
    key: name,
    version,
    package: found,
    entry: {
      name,
      init: init ?? null,
      args: args ?? null,
      env: new Map(Object.entries(env)),
      rlimits: rlimits ?? null,
      cgroups: null,
      run: null,
    },
    resources: resources.map(({ target: at, mount: from }) => ({ target: at, id: from.id })),
  };
  const view = {
    name,
    mounts: [mount],
    resourceMounts: new Map(resources.map(({ mount: from }) => [from.id, from])),
  };
  return [view as unknown as View, target as unknown as Target];
}
