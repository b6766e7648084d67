/** What a status tells where there is no daemon. Not of `#ask`, which would have it read for every command. */
export const withoutDaemon = () => import('../commands/status-without-daemon.ts');
