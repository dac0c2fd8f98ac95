// Each check of the look ahead: what fails it, with entry, fact and remedy, and that nothing is said of what is good.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as preflight from '../../../src/preflight/preflight-checks.ts';
import { everyId, type HostFacts } from '../../../src/preflight/host-facts.ts';
import type { Planned, PlannedContainer } from '../../../src/preflight/planned.ts';
import type { Manifest } from '../../../state/schema/manifest.ts';

const manifest = (more: Partial<Manifest> = {}): Manifest => ({
  name: 'app',
  version: '1.0.0',
  init: '/bin/app',
  uid: 1000,
  gid: 1000,
  ...more,
});

const container = (more: Partial<PlannedContainer> = {}): PlannedContainer => ({
  ...{ key: 'app', runs: true, paused: false, manifest: manifest(), cgroups: null, health: null, keeps: null },
  ...more,
});

type PlannedRepository = Planned['repositories'] extends ReadonlyMap<string, infer R> ? R : never;

const repository: PlannedRepository = {
  ...{ id: 'main', type: 'fs', dir: '/packages', keys: [], mountOnStart: false, integrity: 'none' },
  ...{ capacity: { containers: null, size: null }, packages: 3, size: 1000 },
};

const nothing: Planned = { containers: [], images: [], installs: [], repositories: new Map([['main', repository]]) };

const host: HostFacts = {
  memory: 1_000_000,
  free: new Map([['main', { device: 1, bytes: 5000 }]]),
  loopDevices: Infinity,
  absent: new Map(),
  users: everyId,
  groups: everyId,
  unknownGroups: new Set(),
  missingPaths: new Set(),
  missingNamespaces: new Set(),
  ownSockets: new Set(['/run/sockets/console']),
  socketDir: '/run/sockets',
  data: new Map(),
  freeForData: null,
};

const image = { id: 'app:1.0.0', entry: 'app', type: 'squashfs', integrity: 'none', isMounted: false } as const;

interface Case {
  readonly check: preflight.Check;
  readonly planned: Partial<Planned>;
  readonly host?: Partial<HostFacts>;
  readonly fact: RegExp;
  readonly remedy: RegExp;
  /** The same, mended. */
  readonly good: { readonly planned?: Partial<Planned>; readonly host?: Partial<HostFacts> };
}

const install = { entry: 'app', repository: 'main', size: 4000 };
const limited = (bytes: number): PlannedContainer =>
  container({ cgroups: { memory: { memory_hard_limit: bytes, oom_monitor: false } } });

const cases: readonly Case[] = [
  {
    check: preflight.checkSpace,
    planned: { installs: [install, { ...install, size: 1001 }] },
    fact: /^\/packages has 5000 bytes left, and what is to be installed takes 5001$/,
    remedy: /make room/,
    good: { planned: { installs: [install, { ...install, size: 1000 }] } },
  },
  {
    check: preflight.checkSpace,
    planned: {
      installs: [install],
      repositories: new Map([['main', { ...repository, capacity: { containers: 3, size: null } }]]),
    },
    fact: /main may hold 3 packages/,
    remedy: /capacity/,
    good: { planned: { installs: [] } },
  },
  {
    check: preflight.checkSpace,
    planned: {
      installs: [install],
      repositories: new Map([['main', { ...repository, capacity: { containers: null, size: 4999 } }]]),
    },
    fact: /may hold 4999 bytes, and would have 5000/,
    remedy: /capacity/,
    good: { planned: { installs: [{ ...install, size: 3999 }] } },
  },
  {
    check: preflight.checkData,
    planned: { containers: [container({ keeps: 'app' })] },
    host: { data: new Map([['app', 'it has more than 5 bytes']]) },
    fact: /^its persistent data cannot be kept: it has more than 5 bytes$/,
    remedy: /raise snapshot/,
    good: { host: { data: new Map([['app', 5]]) } },
  },
  {
    check: preflight.checkData,
    planned: { containers: [container({ keeps: 'app' }), container({ key: 'other' })] },
    host: { data: new Map([['app', 5]]), freeForData: 4 },
    fact: /^a copy of its persistent data takes 5 bytes, and 4 are left there$/,
    remedy: /make room/,
    good: { host: { data: new Map([['app', 5]]), freeForData: 5 } },
  },
  {
    check: preflight.checkMemory,
    planned: { containers: [limited(600_000), limited(500_000)] },
    fact: /2 containers add up to 1100000 bytes, and there are 1000000/,
    remedy: /that of app, 600000/,
    good: { planned: { containers: [limited(600_000), limited(-1), limited(400_000)] } },
  },
  {
    check: preflight.checkLoopDevices,
    planned: { images: [image, { ...image, id: 'b:1.0.0' }] },
    host: { loopDevices: 1 },
    fact: /^2 images are to be mounted, and there are 1 free loop devices/,
    remedy: /CONFIG_BLK_DEV_LOOP/,
    good: { planned: { images: [image, { ...image, isMounted: true }] } },
  },
  {
    check: preflight.checkDeviceMapper,
    planned: { images: [{ ...image, integrity: 'dm-verity' }] },
    host: { absent: new Map([['dm-verity', 'CONFIG_DM_VERITY']]) },
    fact: /app:1\.0\.0 is to be checked by dm-verity/,
    remedy: /CONFIG_DM_VERITY, or integrity: full-check/,
    good: { planned: { images: [{ ...image, integrity: 'full-check' }] } },
  },
  {
    check: preflight.checkKernelOptions,
    planned: { images: [{ ...image, type: 'erofs' }] },
    host: { absent: new Map([['erofs', 'CONFIG_EROFS_FS']]) },
    fact: /the image of app:1\.0\.0 is erofs/,
    remedy: /CONFIG_EROFS_FS/,
    good: { planned: { images: [image] } },
  },
  ...(
    [
      [{ cgroups: { cpu: { shares: 10 } } }, 'cpu'],
      [{ cgroups: { cpu: { cpus: '0' } } }, 'cpuset'],
      [{ cgroups: { memory: { oom_monitor: false } } }, 'memory'],
      [{ cgroups: { pids: { max: 1 } } }, 'pids'],
      [{ paused: true }, 'freezing'],
      [{ manifest: manifest({ seccomp: { profile: 'default' } }) }, 'filters'],
      [{ manifest: manifest({ seccomp: { profile: 'default' } }) }, 'libseccomp'],
    ] as const
  ).map(([asks, feature]): Case => ({
    check: preflight.checkKernelOptions,
    planned: { containers: [container(asks as Partial<PlannedContainer>)] },
    host: { absent: new Map([[feature, `CONFIG_OF_${feature}`]]) },
    fact: new RegExp(`needs ${feature}, which is not there`),
    remedy: new RegExp(`CONFIG_OF_${feature}`),
    good: { planned: { containers: [container()] } },
  })),
  {
    check: preflight.checkUsers,
    planned: { containers: [container({ manifest: manifest({ uid: 70_000 }) })] },
    host: { users: [[0, 65_535]] },
    fact: /user 70000 of its manifest is not mapped/,
    remedy: /uid_map/,
    good: { planned: { containers: [container()] } },
  },
  {
    check: preflight.checkUsers,
    planned: { containers: [container({ manifest: manifest({ gid: 70_000 }) })] },
    host: {
      groups: [
        [0, 999],
        [1001, 65_535],
      ],
    },
    fact: /group 70000 of its manifest/,
    remedy: /gid_map/,
    good: { host: { groups: [[0, 70_000]] } },
  },
  {
    check: preflight.checkGroups,
    planned: { containers: [container({ manifest: manifest({ suppl_groups: ['audio', 'nobodies'] }) })] },
    host: { unknownGroups: new Set(['nobodies']) },
    fact: /there is no group nobodies/,
    remedy: /groupadd --system nobodies/,
    good: { host: { unknownGroups: new Set() } },
  },
  {
    check: preflight.checkHostPaths,
    planned: {
      containers: [
        container({ manifest: manifest({ mounts: new Map([['/data', { type: 'bind', host: '/gone' }]]) }) }),
      ],
    },
    host: { missingPaths: new Set(['/gone']) },
    fact: /^\/gone, which it has at \/data, is not there/,
    remedy: /make \/gone/,
    good: { host: { missingPaths: new Set() } },
  },
  {
    check: preflight.checkNetworkNamespaces,
    planned: { containers: [container({ manifest: manifest({ network: { namespace: 'blue' } }) })] },
    host: { missingNamespaces: new Set(['blue']) },
    fact: /no network namespace blue/,
    remedy: /ip netns add blue/,
    good: { host: { missingNamespaces: new Set() } },
  },
  {
    check: preflight.checkSockets,
    planned: {
      containers: ['one', 'two'].map((key) =>
        container({
          key,
          manifest: manifest({ network: 'host' }),
          health: {
            ...{ ready: null, within: null, watchdog: null },
            alive: {
              target: { kind: 'tcp', address: '127.0.0.1', port: 80 },
              ...{ every: 1000, timeout: 1000, failures: 3 },
            },
          },
        }),
      ),
    },
    fact: /127\.0\.0\.1:80 in the network of the host is claimed by one as well/,
    remedy: /one and two/,
    good: { planned: { containers: [container()] } },
  },
  {
    check: preflight.checkSockets,
    planned: {
      containers: [
        container({
          manifest: manifest({ sockets: new Map([['main', { type: 'stream', mode: 0o600, uid: 1, gid: 1 }]]) }),
        }),
      ],
    },
    host: { ownSockets: new Set(['/run/sockets/app:1.0.0:main']) },
    fact: /app:1\.0\.0:main is claimed by the runtime/,
    remedy: /another/,
    good: { host: { ownSockets: new Set() } },
  },
];

for (const { check, planned, host: more = {}, fact, remedy, good } of cases) {
  test(`a finding says: ${fact.source}`, () => {
    const found = check({ ...nothing, ...planned }, { ...host, ...more });
    assert.equal(found.length, 1, JSON.stringify(found));
    assert.match(found[0]?.fact ?? '', fact);
    assert.match(found[0]?.remedy ?? '', remedy);
    assert.notEqual(found[0]?.entry, '');
    assert.deepEqual(check({ ...nothing, ...planned, ...good.planned }, { ...host, ...more, ...good.host }), []);
  });
}

test('every check has a case, and what does not run asks for nothing', () => {
  assert.deepEqual(new Set(cases.map(({ check }) => check)), new Set(preflight.checks));
  for (const { check, planned, host: more = {} } of cases) {
    const idle = (planned.containers ?? []).map((each) => ({ ...each, runs: false }));
    if (idle.length > 0) assert.deepEqual(check({ ...nothing, containers: idle }, { ...host, ...more }), []);
  }
});
