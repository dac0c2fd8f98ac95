// Mounts in a container, with all that this kernel has.
import { mountCases } from '../../support/mount-cases.ts';

await mountCases([]);
