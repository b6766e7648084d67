/** What is to be said of an mgpu that is process 1. */
export const asInit =
  'mgpu is process 1 here, and Node collects no orphans: processes that engines leave behind stay as zombies; start it below an init (tini, docker run --init)';
