// Mounts in a container, on a kernel before 5.12.
import { withoutSyscall } from '../../support/packages.ts';
import { mountCases } from '../../support/mount-cases.ts';

const mount_setattr = 442;
await mountCases(await withoutSyscall(mount_setattr));
