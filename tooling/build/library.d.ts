import type { Options } from 'tsup';

/** One build for every package; `entry` maps output names to source files, `options` says what differs. */
export declare function library(entry: Record<string, string>, options?: Options): unknown;

/** Programs that are started often, bundled into single files. */
export declare function program(entry: Record<string, string>, options?: Options): unknown;

/** Leaves out of a bundle every dependency that nothing is used of. */
export declare const leaveOutUnused: NonNullable<Options['esbuildPlugins']>[number];
