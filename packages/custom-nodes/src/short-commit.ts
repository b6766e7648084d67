/** A commit as people are told it. */
export const shortCommit = (commit: string): string => commit.slice(0, 12);
