import { join } from 'node:path';
import type { Layout } from '@mgpu/core';

/** Where the daemon of a root listens. */
export const socketPathOf = ({ run }: Layout): string => join(run, 'mgpu.sock');
