import type { Options } from 'tsup';

/** One build for every package; `entry` maps output names to source files, `options` says what differs. */
export declare function library(entry: Record<string, string>, options?: Options): unknown;

/** Programs that are started often, bundled into single files. */
export declare function program(entry: Record<string, string>, options?: Options): unknown;
