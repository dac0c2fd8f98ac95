// Mounts in a container, with all that this kernel has.
import { mountCases } from '../sandbox/mount-cases.ts';

await mountCases([]);
