import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFailure } from '../../../../controllers/containers/start-failure.ts';

const sentences = [
  ['tree', 'ENOENT', '/data', 'the image of box:1.0.0 has no /data to mount on (tree: ENOENT)'],
  ['filesystem', 'ELOOP', '/proc', 'the image of box:1.0.0 has no /proc to mount on (filesystem: ELOOP)'],
  [
    'filesystem',
    'ENODEV',
    'tmpfs for /tmp',
    'box:1.0.0 wants tmpfs for /tmp, a file system that this kernel does not have (filesystem: ENODEV)',
  ],
  [
    'tree',
    'EINVAL',
    '/etc/f',
    '/etc/f in the image of box:1.0.0 cannot be mounted on: of the two one is a file, the other a directory (tree: EINVAL)',
  ],
  [
    'rlimit',
    'EPERM',
    'nofile 9: to raise it takes CAP_SYS_RESOURCE, which the runtime lacks',
    'box:1.0.0 cannot have the resource limit nofile 9: to raise it takes CAP_SYS_RESOURCE, which the runtime lacks (rlimit: EPERM)',
  ],
  [
    'capabilities',
    'EPERM',
    'capability 24, which the runtime lacks',
    'box:1.0.0 cannot have CAP_SYS_RESOURCE, which the runtime lacks (capabilities: EPERM)',
  ],
  [
    'write',
    'EINVAL',
    '1 to /sys/fs/cgroup/cpuset/northstate/container-box/cpuset.cpus',
    'box:1.0.0 cannot have its limits: the kernel refuses 1 to /sys/fs/cgroup/cpuset/northstate/container-box/cpuset.cpus; change cgroups (write: EINVAL)',
  ],
  ['exec', 'EACCES', '/app', 'the user of box:1.0.0 may not execute /app (exec: EACCES)'],
  ['clone', 'ENOMEM', 'clone3', 'clone clone3 (clone: ENOMEM)'],
  ['pivot', 'EBUSY', '', 'pivot (pivot: EBUSY)'],
] as const;

for (const [step, code, subject, sentence] of sentences) {
  test(`says why a start failed at ${step} with ${code}`, () => {
    assert.equal(startFailure('box:1.0.0', { step, code, subject }), sentence);
  });
}
